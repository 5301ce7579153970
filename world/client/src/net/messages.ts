/** The JSON messages of the gateway's protocol, as `protocol/commands.py` and `protocol/events.py` define them. */

import type { BotView, EmoteKind, Look, PlayerView } from "../scene/api.ts";

export const VERSION = 1;
export const MAX_CHAT_CHARS = 300;

export type BotId = BotView["bot"];
export const BOT_IDS: readonly BotId[] = ["ChatbotA", "ChatbotB", "ChatbotC"];
export const EMOTES: readonly EmoteKind[] = ["wave", "pick_up", "jump", "cheer", "sit"];

export const REASONS = [
  "name_length", "name_characters", "name_reserved", "name_taken", "session", "origin", "too_many_ids", "room_full",
  "room_unknown", "too_fast", "muted", "banned", "busy", "already_asking", "text_length", "text_empty",
  "not_here", "not_yours", "unavailable", "message",
] as const;
export type Reason = (typeof REASONS)[number];

export const SOURCES = ["model", "safety", "muted", "nearest", "unsure", "timeout", "empty", "degraded"] as const;
export type Source = (typeof SOURCES)[number];

export interface RoomView {
  room: number;
  players: number;
  seats: number;
  /** Address of the gateway that has the room; empty for this one. */
  url: string;
}

/** A player of the room. */
export interface Player extends PlayerView {
  /** Says who the player is, also in another seat or under another name. */
  tag: string;
}

export interface Enter {
  t: "enter";
  v: 1;
  look: Look;
  room?: number;
  /** What this client has seen before: the number of the last event, the seat that got it, and the epoch of its count. */
  last?: number;
  seat?: number;
  epoch?: string;
  /** Ids of questions whose answer this client waits for. */
  waiting: string[];
  /** Tags of players from whom this one wants to get nothing. */
  blocked: string[];
}

export type Command =
  | Enter
  | { t: "leave" }
  | { t: "say"; id: string; text: string }
  | { t: "whisper"; id: string; to: number; text: string }
  | { t: "emote"; kind: EmoteKind }
  | { t: "dress"; look: Look }
  | { t: "ask"; id: string; bot: BotId; text: string; shared: boolean }
  | { t: "rate"; turn: string; up: boolean }
  | { t: "teach"; turn: string; text: string }
  | { t: "report_turn"; turn: string; text: string }
  | { t: "report_player"; seat: number; line?: string; text: string }
  | { t: "block"; tag: string; blocked: boolean }
  | { t: "consent"; store: boolean; learn: boolean }
  | { t: "travel"; portal: number }
  | { t: "go"; room: number }
  | { t: "rooms" }
  | { t: "ping"; at: number };

export interface Welcome {
  t: "welcome";
  v: number;
  epoch: string;
  you: number;
  name: string;
  room: number;
  seats: number;
  x: number;
  z: number;
  tick_hz: number;
  store: boolean;
  learn: boolean;
  minor: boolean;
  /** Everyone in the room, this player too. */
  players: Player[];
  bots: BotView[];
  rooms: RoomView[];
}

/**
 * For others than the asker, `id` and `turn` are empty, and so are the texts unless the question was shared. The question
 * is empty for the asker too if only the answer is known any more.
 */
export interface Answered {
  t: "answered";
  bot: BotId;
  seat: number;
  name: string;
  id: string;
  question: string;
  text: string;
  turn: string;
  version: number;
  source: Source | string;
}

export type WorldEvent =
  | Welcome
  | Answered
  | { t: "joined"; player: Player }
  | { t: "left"; seat: number; name: string }
  | { t: "dressed"; seat: number; look: Look }
  | { t: "said"; id: string; line: string; seat: number; name: string; text: string }
  | { t: "whispered"; id: string; line: string; seat: number; to: number; name: string; to_name: string; text: string }
  | { t: "emoted"; seat: number; kind: EmoteKind }
  /** May come again for the same question. */
  | { t: "thinking"; bot: BotId; seat: number; name: string; id: string; text: string }
  | { t: "unanswered"; bot: BotId | ""; id: string; reason: "timeout" | "unknown" | "refused" }
  | { t: "noted"; turn: string; kind: "up" | "down" | "correction" | "report" }
  | { t: "reported"; seat: number }
  | { t: "consented"; store: boolean; learn: boolean }
  | { t: "staged"; bot: BotView }
  | { t: "moved"; x: number; z: number }
  | { t: "hidden"; line: string }
  | { t: "rooms"; rooms: RoomView[] }
  | { t: "refusal"; of: string; reason: Reason; wait_s: number }
  | { t: "pong"; at: number };

export type EventName = WorldEvent["t"];
export type EventOf<Name extends EventName> = Extract<WorldEvent, { t: Name }>;

/** The gateway leaves out fields that have their default. */
export const DEFAULTS: Readonly<Record<EventName, object>> = {
  welcome: {}, joined: {}, left: {}, dressed: {}, said: {}, whispered: {}, emoted: {},
  thinking: { id: "", text: "" },
  answered: { id: "", question: "", text: "", turn: "", version: 0, source: "model" },
  unanswered: {}, noted: {}, reported: {}, consented: {}, staged: {}, moved: {}, hidden: {}, rooms: {},
  refusal: { wait_s: 0 },
  pong: {},
};

/** An event with its number among the events of this player. */
export type Numbered = WorldEvent & { n: number };

/** Read a text frame. Returns null for what this client does not know, so that a newer gateway can add events. */
export function readEvent(text: string): Numbered | null {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof found !== "object" || found === null) return null;
  const { t, n } = found as { t?: unknown; n?: unknown };
  if (typeof t !== "string" || !Object.hasOwn(DEFAULTS, t)) return null;
  return { ...DEFAULTS[t as EventName], ...found, n: typeof n === "number" ? n : 0 } as Numbered;
}
