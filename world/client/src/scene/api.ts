/** What the rest of the client may ask of the 3D world. The list view works without it. */

export interface Look {
  body: number;
  hair: number;
  hair_color: number;
  top: number;
  bottom: number;
  hat: number;
}

export interface PlayerView {
  seat: number;
  name: string;
  look: Look;
  x: number;
  z: number;
  /** Direction, 256 steps per turn; 0 looks south (+z), 64 looks east (+x). */
  yaw: number;
}

export type Stage = "asleep" | "ready" | "training" | "candidate" | "new_version" | "muted" | "degraded";

export interface BotView {
  bot: "ChatbotA" | "ChatbotB" | "ChatbotC";
  stage: Stage;
  version: number;
  learned: number;
}

export type EmoteKind = "wave" | "pick_up" | "jump" | "cheer" | "sit";
export type Quality = "low" | "medium" | "high";

/** Where a player is. Heights are in units of 2 cm; gait: 0 stands, 1 walks, 2 runs, 3 in the air. */
export interface Position {
  seat: number;
  x: number;
  z: number;
  height: number;
  yaw: number;
  gait: number;
}

export interface SceneEvents {
  /** The player's own avatar has moved; called at most once per frame. */
  moved(position: Position): void;
  /** A bot was clicked or touched, or the talk key was pressed next to it. */
  botChosen(bot: string): void;
  /** A player was clicked or touched. */
  playerChosen(seat: number): void;
  /** The nearest bot within talking distance, or null. */
  botNear(bot: string | null): void;
  /** The portal of `places.json` within reach, by its index, or null. */
  portalNear(index: number | null): void;
  /** The web portal within reach, by its index in `places.json`, or null. */
  webPortalNear(index: number | null): void;
  /** The place of `places.json` that the player stands in, by its id, or null. */
  placeEntered(place: string | null): void;
}

export interface SceneOptions {
  canvas: HTMLCanvasElement;
  /** Name tags and speech bubbles are DOM elements in this layer, as text only. */
  labels: HTMLElement;
  quality: Quality;
  reducedMotion: boolean;
  language: "ko" | "en";
  events: SceneEvents;
  /** The graphics context was lost, so nothing is drawn until it comes back, if it does. */
  onLost?: () => void;
  /** Hide all names, for pictures from which a stranger shall tell the place. */
  hideNames?: boolean;
}

export interface Memory {
  geometries: number;
  textures: number;
}

export interface CameraStats {
  x: number;
  y: number;
  z: number;
  /** Height over the ground below the camera. */
  aboveGroundM: number;
  /** Direction in which the camera looks, about the vertical axis; 0 looks south (+z). */
  angleRad: number;
  pitchRad: number;
  /** Distance that the player has chosen; the camera is nearer when something is in the way. */
  wantedM: number;
  /** Distance from the avatar's head. */
  shownM: number;
}

export interface SceneStats {
  fps: number;
  drawCalls: number;
  triangles: number;
  players: number;
  /** Whether the whole world was built. */
  isComplete: boolean;
  /** Objects that the graphics card holds. */
  memory: Memory;
  me: { x: number; z: number; yaw: number; jumpM: number };
  /** Where others are shown, and what their bodies play. */
  positions: Record<number, { x: number; z: number; emote: EmoteKind | null }>;
  camera: CameraStats;
}

export interface WorldScene {
  /** Put the own avatar into the world; the camera follows it. */
  enter(me: PlayerView): void;
  addPlayer(player: PlayerView): void;
  removePlayer(seat: number): void;
  clearPlayers(): void;
  dress(seat: number, look: Look): void;
  /** Positions of other players, from the gateway; smoothed over 120 to 150 ms, extrapolated for 250 ms at most. */
  positions(positions: Position[]): void;
  /** The gateway says that the own avatar is somewhere else. */
  teleport(x: number, z: number): void;
  emote(seat: number, kind: EmoteKind): void;
  /** Show a speech bubble over a player; plain text. */
  say(seat: number, text: string): void;
  /** Take a player's bubble away, because its line was hidden. */
  clearBubble(seat: number): void;
  /** Show a bot's bubble, addressed to a player's name; plain text. */
  botSay(bot: string, text: string, to: string): void;
  /** A player waits for a bot's answer: the bot thinks while anyone waits. */
  botThinking(bot: string, seat: number): void;
  /** A player has got an answer from a bot, or will get none. */
  botAnswered(bot: string, seat: number): void;
  botStage(view: BotView): void;
  /** Show a still avatar in another canvas, for the choice of looks. */
  preview(canvas: HTMLCanvasElement, look: Look): void;
  /** 0 is noon, 1 is late evening. */
  timeOfDay(evening: number): void;
  quality(quality: Quality): void;
  /** While typing, keys and touches do not move the avatar. */
  inputEnabled(enabled: boolean): void;
  /** Give the keyboard focus to the world. */
  focus(): void;
  stats(): SceneStats;
  /** Turn the camera and look from a distance, for pictures. */
  look(angleRad: number, pitchRad: number, distanceM: number): void;
  /** Stop drawing, let go of all keys and touches, and free everything. Returns what is left, which is nothing. */
  dispose(): Memory;
}

/** Create the scene. Throws if WebGL is missing; the caller then shows the list view only. */
export type CreateScene = (options: SceneOptions) => Promise<WorldScene>;
