/** Losses of the connection: nothing is lost, nothing is shown twice, and the client knows when to stop trying. */

import { beforeEach, expect, test } from "vitest";
import { Connection, PING_MS, type LinkState, type Socket } from "../src/net/connection.ts";
import type { Command, WorldEvent } from "../src/net/messages.ts";
import { MOST_PLAYERS } from "../src/model/playerList.ts";
import { newId } from "../src/net/ids.ts";
import { GIVE_UP_MS, MOST, type Lasting } from "../src/net/unconfirmed.ts";
import { WaitingQuestions } from "../src/net/waiting.ts";

/** As many as a command may have. */
const MAX_FRAME_BYTES = 6 * 1024;
const LOOK = { body: 0, hair: 0, hair_color: 0, top: 0, bottom: 0, hat: 0 };
const WELCOME = {
  t: "welcome", v: 1, epoch: "e1", you: 7, name: "예빈", room: 3, seats: 20, x: 0, z: 13, tick_hz: 15, store: true, learn: false,
  minor: false, players: [], bots: [], rooms: [],
};

class FakeSocket {
  binaryType = "blob";
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((closed: { code: number }) => void) | null = null;
  readonly sent: Command[] = [];
  isClosed = false;

  send(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.sent.push(JSON.parse(data) as Command);
  }

  close(): void {
    this.isClosed = true;
  }

  gets(...events: object[]): void {
    for (const event of events) this.onmessage?.({ data: JSON.stringify(event) });
  }
}

let sockets: FakeSocket[] = [];
let events: WorldEvent[] = [];
let states: LinkState["is"][] = [];
let lost: Lasting[] = [];
let timers: { id: number; atMs: number; action: () => void }[] = [];
let nowMs = 0;
let hasSession = true;
let store = new Map<string, string>();
let blocked: string[] = [];
let connection: Connection;

beforeEach(() => {
  sockets = [];
  events = [];
  states = [];
  lost = [];
  timers = [];
  nowMs = 0;
  hasSession = true;
  store = new Map();
  blocked = [];
  connection = newConnection();
});

function newConnection(): Connection {
  const storage = { getItem: (key: string) => store.get(key) ?? null, setItem: (key: string, value: string) => void store.set(key, value), removeItem: (key: string) => void store.delete(key) };
  return new Connection({
    connect: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as Socket;
    },
    look: () => LOOK,
    waiting: new WaitingQuestions(storage),
    blocked: () => blocked,
    onEvent: (event) => void events.push(event),
    onPositions: () => undefined,
    onState: ({ is }) => void states.push(is),
    onLost: (command) => void lost.push(command),
    hasSession: () => Promise.resolve(hasSession),
    nowMs: () => nowMs,
    later: (ms, action) => {
      const id = timers.length + Math.random();
      timers.push({ id, atMs: nowMs + ms, action });
      return id;
    },
    never: (id) => void (timers = timers.filter((timer) => timer.id !== id)),
  });
}

function wait(ms: number): void {
  const endMs = nowMs + ms;
  for (;;) {
    const next = timers.filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
    if (!next) break;
    timers = timers.filter((timer) => timer !== next);
    nowMs = Math.max(nowMs, next.atMs);
    next.action();
  }
  nowMs = endMs;
}

function socket(): FakeSocket {
  const found = sockets.at(-1);
  if (!found) throw new Error("no socket");
  return found;
}

function enter(...first: object[]): void {
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 1, ...WELCOME }, ...first);
}

function comeBack(): void {
  socket().onclose?.({ code: 1006 });
  wait(20_000);
  socket().onopen?.();
}

function names(): string[] {
  return events.map((event) => event.t);
}

test("the first command enters, and later ones say what was seen and in which room", () => {
  enter({ n: 2, t: "pong", at: 0 });
  expect(sockets[0]?.sent[0]).toEqual({ t: "enter", v: 1, look: LOOK, waiting: [], blocked: [] });
  comeBack();
  expect(socket().sent[0]).toEqual({ t: "enter", v: 1, look: LOOK, waiting: [], blocked: [], last: 2, seat: 7, epoch: "e1", room: 3 });
});

test("after a restart of the gateway the events of the new count are asked for", () => {
  enter({ n: 2, t: "pong", at: 0 });
  comeBack();
  socket().gets({ n: 1, ...WELCOME, epoch: "e2" }, { n: 2, t: "pong", at: 0 });
  comeBack();
  expect(socket().sent[0]).toMatchObject({ last: 2, seat: 7, epoch: "e2" });
});

test("the present block list goes with each entry", () => {
  enter();
  blocked = ["a".repeat(16)];
  comeBack();
  expect(socket().sent[0]).toMatchObject({ blocked });
});

test("an entry with as much as can be in it fits into one message", () => {
  for (let id = 0; id < 8; id += 1) store.set("byeolmaru.waiting", JSON.stringify([...JSON.parse(store.get("byeolmaru.waiting") ?? "[]"), { id: newId(), bot: "ChatbotA", text: "" }]));
  blocked = Array.from({ length: MOST_PLAYERS }, () => "a".repeat(16));
  connection = newConnection();
  enter({ n: 2 ** 31, t: "pong", at: 0 }, { n: 2 ** 31 + 1, ...WELCOME, epoch: "e".repeat(16), you: 65_535, room: 9999 });
  comeBack();
  const [entry] = socket().sent;
  expect(entry).toMatchObject({ seat: 65_535, room: 9999 });
  expect(entry?.t === "enter" && entry.waiting.length).toBe(8);
  expect(JSON.stringify(entry).length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
});

test("leaving on purpose says so before the connection is closed", () => {
  enter();
  const left = socket();
  connection.close();
  expect(left.sent.at(-1)).toEqual({ t: "leave" });
  expect(left.isClosed).toBe(true);
  connection.open();
  socket().onopen?.();
  expect(socket().sent[0]).not.toHaveProperty("seat");
});

test("events that were delivered before are dropped", () => {
  enter({ n: 2, t: "said", id: "a", line: "la", seat: 1, name: "x", text: "1" });
  comeBack();
  socket().gets(
    { n: 2, t: "said", id: "a", line: "la", seat: 1, name: "x", text: "1" },
    { n: 3, t: "said", id: "b", line: "lb", seat: 1, name: "x", text: "2" },
    { n: 3, t: "said", id: "b", line: "lb", seat: 1, name: "x", text: "2" },
  );
  expect(events.filter((event) => event.t === "said")).toHaveLength(2);
  expect(connection.counters.repeated).toBe(2);
});

test("a seat that was given away begins a new count, and a repeated line is still shown once", () => {
  const answer = { t: "answered", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "응" };
  enter({ n: 2, ...answer }, { n: 3, t: "pong", at: 0 });
  comeBack();
  socket().gets({ n: 1, ...WELCOME }, { n: 2, ...answer }, { n: 3, t: "said", id: "a", line: "la", seat: 1, name: "x", text: "1" });
  expect(names()).toEqual(["welcome", "answered", "pong", "welcome", "said"]);
  expect(connection.last).toBe(3);
});

test("a safety answer still comes after the question has ended without an answer, and once", () => {
  const ended = { t: "unanswered", bot: "ChatbotA", id: "q", reason: "timeout" };
  const answer = { t: "answered", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "109", source: "safety" };
  enter({ n: 2, t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "?" }, { n: 3, ...ended }, { n: 4, ...answer }, { n: 5, ...answer }, { n: 6, ...ended });
  expect(names()).toEqual(["welcome", "thinking", "unanswered", "answered"]);
  expect(events.at(-1)).toMatchObject({ id: "q", text: "109", source: "safety" });
});

test("the same id from two players is two lines", () => {
  enter({ n: 2, t: "said", id: "a", line: "la", seat: 1, name: "x", text: "1" }, { n: 3, t: "said", id: "a", line: "la", seat: 2, name: "y", text: "2" });
  expect(events.filter((event) => event.t === "said")).toHaveLength(2);
});

test("what was not confirmed is sent again after a reconnect, once and in order", () => {
  enter();
  connection.sendLasting({ t: "say", id: "a", text: "1" });
  connection.sendLasting({ t: "say", id: "b", text: "2" });
  socket().gets({ n: 2, t: "said", id: "a", line: "la", seat: 7, name: "예빈", text: "1" });
  socket().onclose?.({ code: 1006 });
  connection.sendLasting({ t: "say", id: "c", text: "3" });
  wait(20_000);
  socket().onopen?.();
  expect(said(socket())).toEqual([]);
  socket().gets({ n: 3, t: "pong", at: 0 }, { n: 4, t: "pong", at: 0 });
  expect(said(socket())).toEqual(["b", "c"]);
});

test("a missed event that confirms a message keeps it from being sent again", () => {
  enter();
  connection.sendLasting({ t: "ask", id: "q", bot: "ChatbotA", text: "?", shared: false });
  comeBack();
  socket().gets({ n: 2, t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "?" }, { n: 3, t: "pong", at: 0 });
  expect(socket().sent.filter((command) => command.t === "ask")).toEqual([]);
});

test("questions without an answer are named after a reconnect and after a reload, until they end", () => {
  enter(
    { n: 2, t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q1", text: "?" },
    { n: 3, t: "thinking", bot: "ChatbotB", seat: 7, name: "예빈", id: "q2", text: "?" },
    { n: 4, t: "thinking", bot: "ChatbotB", seat: 8, name: "서현" },
    { n: 5, t: "unanswered", bot: "ChatbotB", id: "q2", reason: "timeout" },
  );
  comeBack();
  expect(socket().sent[0]).toMatchObject({ t: "enter", waiting: ["q1"] });
  connection = newConnection();
  connection.open();
  socket().onopen?.();
  expect(socket().sent[0]).toMatchObject({ t: "enter", waiting: ["q1"] });
  socket().gets({ n: 1, ...WELCOME }, { n: 2, t: "answered", bot: "ChatbotA", seat: 7, name: "예빈", id: "q1", text: "응" });
  comeBack();
  expect(socket().sent[0]).toMatchObject({ waiting: [] });
});

test("an answer of which only the text is known gets its question from the list of waiting ones", () => {
  enter({ n: 2, t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q1", text: "여기 있어?" });
  connection = newConnection();
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 1, ...WELCOME }, { n: 2, t: "answered", bot: "ChatbotA", seat: 7, name: "예빈", id: "q1", text: "응" });
  expect(events.at(-1)).toMatchObject({ t: "answered", question: "여기 있어?", text: "응" });
});

test("a command that is never confirmed is given up aloud", () => {
  enter();
  connection.sendLasting({ t: "say", id: "a", text: "1" });
  wait(GIVE_UP_MS + 4_000);
  expect(lost).toEqual([{ t: "say", id: "a", text: "1" }]);
  expect(connection.unconfirmed).toBe(0);
});

test("a refused message is not sent again", () => {
  enter();
  connection.sendLasting({ t: "say", id: "a", text: "1" });
  socket().gets({ n: 2, t: "refusal", of: "a", reason: "too_fast", wait_s: 1 });
  expect(connection.unconfirmed).toBe(0);
});

test("a refusal without an id is about the first command of its kind", () => {
  enter();
  for (const turn of ["t1", "t2"]) connection.sendLasting({ t: "rate", turn, up: true });
  socket().gets({ n: 2, t: "refusal", of: "rate", reason: "too_fast", wait_s: 1 });
  expect(connection.unconfirmed).toBe(1);
  socket().gets({ n: 3, t: "noted", turn: "t2", kind: "up" });
  expect(connection.unconfirmed).toBe(0);
});

test("what was written without a connection is not sent faster than the gateway allows", () => {
  enter();
  socket().onclose?.({ code: 1006 });
  for (let number = 0; number < 7; number += 1) connection.sendLasting({ t: "say", id: `s${number}`, text: "1" });
  for (const bot of ["ChatbotA", "ChatbotB", "ChatbotC"] as const) connection.sendLasting({ t: "ask", id: bot, bot, text: "?", shared: false });
  connection.sendLasting({ t: "rate", turn: "t", up: true });
  wait(20_000);
  socket().onopen?.();
  socket().gets({ n: 2, t: "pong", at: 0 });
  expect(said(socket())).toEqual(["s0", "s1", "s2", "s3"]);
  expect(asked(socket())).toEqual(["ChatbotA"]);
  expect(socket().sent.at(-1)?.t).toBe("rate");
  socket().gets({ n: 3, t: "pong", at: 0 });
  expect(said(socket())).toHaveLength(4);
  wait(1_100);
  expect(said(socket())).toEqual(["s0", "s1", "s2", "s3", "s4"]);
  connection.sendLasting({ t: "say", id: "live", text: "1" });
  wait(2_200);
  expect(said(socket()).slice(4)).toEqual(["s4", "s5", "s6"]);
  expect(asked(socket())).toEqual(["ChatbotA", "ChatbotB"]);
  wait(1_100);
  expect(said(socket()).at(-1)).toBe("live");
  expect(asked(socket())).toHaveLength(3);
  wait(1_100);
  connection.sendLasting({ t: "say", id: "free", text: "1" });
  expect(said(socket())).toEqual(["s0", "s1", "s2", "s3", "s4", "s5", "s6", "live", "free"]);
});

test("a loss while old lines are sent again sends none twice, and forgets none", () => {
  enter();
  socket().onclose?.({ code: 1006 });
  for (let number = 0; number < 6; number += 1) connection.sendLasting({ t: "say", id: `s${number}`, text: "1" });
  wait(20_000);
  socket().onopen?.();
  const first = socket();
  first.gets({ n: 2, t: "pong", at: 0 });
  for (let number = 0; number < 4; number += 1) first.gets({ n: 3 + number, t: "said", id: `s${number}`, line: `l${number}`, seat: 7, name: "예빈", text: "1" });
  comeBack();
  socket().gets({ n: 7, t: "pong", at: 0 });
  wait(10_000);
  expect(said(first)).toHaveLength(4);
  expect(said(socket())).toEqual(["s4", "s5"]);
});

test("of too many messages without a connection, the first are given up aloud", () => {
  enter();
  socket().onclose?.({ code: 1006 });
  for (let number = 0; number <= MOST; number += 1) connection.sendLasting({ t: "say", id: `s${number}`, text: "1" });
  expect(lost).toEqual([{ t: "say", id: "s0", text: "1" }]);
  expect(connection.unconfirmed).toBe(MOST);
});

test("what belongs to its moment is lost without a connection", () => {
  enter();
  socket().onclose?.({ code: 1006 });
  expect(connection.send({ t: "emote", kind: "wave" })).toBe(false);
});

test("waits between tries grow, and stop growing", () => {
  enter();
  const waits: number[] = [];
  socket().onclose?.({ code: 1006 });
  for (let tries = 0; tries < 9; tries += 1) {
    const beforeMs = nowMs;
    const known = sockets.length;
    while (sockets.length === known) wait(50);
    waits.push(nowMs - beforeMs);
    socket().onclose?.({ code: 1006 });
  }
  expect(waits[0]).toBeLessThanOrEqual(350);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10_050);
  expect(waits.at(-1)).toBeGreaterThanOrEqual(5_000);
});

test("another tab takes over: no more tries until the player comes back", () => {
  enter();
  socket().onclose?.({ code: 4001 });
  wait(60_000);
  expect(sockets).toHaveLength(1);
  expect(states.at(-1)).toBe("replaced");
  connection.comeBack();
  expect(sockets).toHaveLength(2);
});

test("a connection that was closed for flooding is not opened again by itself", () => {
  enter();
  socket().onclose?.({ code: 1008 });
  wait(60_000);
  expect(states.at(-1)).toBe("flooding");
  expect(sockets).toHaveLength(1);
});

test("a player whom moderators ban is told so, and the client stops", () => {
  enter();
  socket().onclose?.({ code: 4403 });
  wait(60_000);
  expect(connection.state).toEqual({ is: "refused", reason: "banned", waitS: 0 });
  expect(sockets).toHaveLength(1);
});

test("a refused entry ends the tries, and says why", () => {
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason: "name_taken" });
  wait(60_000);
  expect(connection.state).toEqual({ is: "refused", reason: "name_taken", waitS: 0 });
  expect(sockets).toHaveLength(1);
});

test.each(["unavailable", "busy", "too_fast"])("an entry that is %s is tried again after the wait, also the first one", (reason) => {
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason, wait_s: 3 });
  expect(connection.state).toEqual({ is: "waiting", reason, waitS: 3 });
  wait(2_900);
  expect(sockets).toHaveLength(1);
  wait(600);
  expect(sockets).toHaveLength(2);
  socket().onopen?.();
  socket().gets({ n: 1, ...WELCOME });
  expect(states).toEqual(["connecting", "waiting", "online"]);
});

test("a player who comes back while the gateway cannot let it in keeps waiting", () => {
  enter();
  comeBack();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason: "unavailable", wait_s: 2 });
  expect(connection.state.is).toBe("offline");
  wait(15_000);
  expect(sockets).toHaveLength(3);
});

test("closing ends the wait for a gateway that cannot let the player in", () => {
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason: "unavailable", wait_s: 2 });
  connection.close();
  wait(60_000);
  expect(sockets).toHaveLength(1);
});

test("if the room is full when the player comes back, any room will do", () => {
  enter();
  comeBack();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason: "room_full" });
  wait(20_000);
  socket().onopen?.();
  expect(socket().sent[0]).not.toHaveProperty("room");
});

test("what was written before the player was turned away is given up aloud, and not sent at the next entry", () => {
  enter();
  connection.sendLasting({ t: "say", id: "a", text: "1" });
  comeBack();
  socket().gets({ n: 0, t: "refusal", of: "enter", reason: "session" });
  connection.open();
  socket().onopen?.();
  socket().gets({ n: 1, ...WELCOME }, { n: 2, t: "pong", at: 0 });
  expect(said(socket())).toEqual([]);
  expect(lost).toEqual([{ t: "say", id: "a", text: "1" }]);
});

test("a browser that the gateway has forgotten goes back to the door", async () => {
  enter();
  hasSession = false;
  for (let tries = 0; tries < 3; tries += 1) {
    socket().onclose?.({ code: 1006 });
    wait(20_000);
  }
  await Promise.resolve();
  await Promise.resolve();
  expect(connection.state).toEqual({ is: "refused", reason: "session", waitS: 0 });
});

test("the client pings, and notices a dead connection", () => {
  enter();
  wait(PING_MS + 10);
  expect(socket().sent.filter((command) => command.t === "ping")).toHaveLength(2);
  wait(4 * PING_MS);
  expect(states).toContain("offline");
});

test("unreadable and unknown messages are ignored", () => {
  enter();
  for (const data of ["", "{", "[]", "null", '{"t":"new_event","n":2}', '{"t":"toString"}']) socket().onmessage?.({ data });
  socket().onmessage?.({ data: new ArrayBuffer(3) });
  expect(names()).toEqual(["welcome"]);
});

test("fields that the gateway leaves out have their defaults", () => {
  enter({ n: 2, t: "answered", bot: "ChatbotA", seat: 8, name: "서현" });
  expect(events[1]).toMatchObject({ id: "", question: "", text: "", turn: "", version: 0, source: "model" });
});

function said(from: FakeSocket): string[] {
  return from.sent.flatMap((command) => (command.t === "say" ? [command.id] : []));
}

function asked(from: FakeSocket): string[] {
  return from.sent.flatMap((command) => (command.t === "ask" ? [command.id] : []));
}
