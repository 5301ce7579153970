/** The player's wishes, from the page to the gateway and back. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Game } from "../src/game/game.ts";
import { Settings, type SettingValues } from "../src/model/settings.ts";
import type { Command, Player } from "../src/net/messages.ts";
import type { Lasting } from "../src/net/unconfirmed.ts";

const LOOK = { body: 0, hair: 0, hair_color: 0, top: 0, bottom: 0, hat: 0 };
const SEOHYEON: Player = { seat: 8, name: "서현", look: LOOK, x: 0, z: 0, yaw: 0, tag: "s".repeat(16) };
const DOYUN: Player = { ...SEOHYEON, name: "도윤", tag: "d".repeat(16) };
const WELCOME = {
  t: "welcome", v: 1, epoch: "e1", you: 7, name: "예빈", room: 3, seats: 20, x: 0, z: 13, tick_hz: 15, store: true, learn: false,
  minor: false, players: [{ ...SEOHYEON, seat: 7, name: "예빈", tag: "y".repeat(16) }], bots: [], rooms: [],
};

let sent: Command[] = [];
let gets: (event: object) => void;
let changed: string[] = [];
let lost: Lasting[] = [];
let number = 0;
let game: Game;

class Gateway {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;

  constructor() {
    gets = (event) => this.onmessage?.({ data: JSON.stringify({ n: (number += 1), ...event }) });
    queueMicrotask(() => this.onopen?.());
  }

  send(data: string): void {
    sent.push(JSON.parse(data) as Command);
  }

  close(): void {
    this.onmessage = null;
  }
}

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("location", { protocol: "http:", host: "world.example" });
  vi.stubGlobal("WebSocket", Gateway);
  [sent, changed, lost, number] = [[], [], [], 0];
  game = new Game(new Settings({ getItem: () => null, setItem: () => undefined, removeItem: () => undefined }, {} as SettingValues));
  game.listen({
    link: () => undefined,
    positions: () => undefined,
    refused: () => undefined,
    lost: (command) => void lost.push(command),
    blockRefused: ({ name }, blocked) => void changed.push(`${name} ${blocked}`),
  });
  game.connection.open();
  await Promise.resolve();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function enter(...others: Player[]): void {
  gets({ ...WELCOME, players: [...WELCOME.players, ...others] });
}

test("a block that the gateway refuses is taken back, and so is a refused unblock", () => {
  enter(SEOHYEON, { ...DOYUN, seat: 9 });
  game.block(SEOHYEON, true);
  game.block(DOYUN, true);
  gets({ t: "refusal", of: "block", reason: "too_fast", wait_s: 1 });
  expect(game.blocked.tags).toEqual([SEOHYEON.tag]);
  game.block(SEOHYEON, false);
  gets({ t: "refusal", of: "block", reason: "too_fast", wait_s: 1 });
  expect(game.blocked.tags).toEqual([SEOHYEON.tag]);
  expect(changed).toEqual(["도윤 false", "서현 true"]);
});

test("a report goes to the player of that name's tag, not to who has the seat by now", () => {
  enter(SEOHYEON);
  enter(DOYUN, { ...SEOHYEON, seat: 9 });
  game.reportPlayer(SEOHYEON, "x");
  expect(sent.at(-1)).toEqual({ t: "report_player", seat: 9, text: "x" });
  enter(DOYUN);
  game.reportPlayer(SEOHYEON, "y");
  expect(sent.at(-1)).toMatchObject({ text: "x" });
  expect(lost).toContainEqual({ t: "report_player", seat: 8, text: "y" });
});

test("the report of a line names the line, whoever has its author's seat", () => {
  enter(DOYUN);
  game.reportPlayer({ seat: 8, line: "l" }, "x");
  expect(sent.at(-1)).toEqual({ t: "report_player", seat: 8, line: "l", text: "x" });
});
