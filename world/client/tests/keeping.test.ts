/** What a browser keeps: blocked and muted players, questions and safety answers; and what happens if it cannot. */

import { afterEach, expect, test, vi } from "vitest";
import { ConsentWish } from "../src/model/consentWish.ts";
import { MOST_PLAYERS, PlayerList } from "../src/model/playerList.ts";
import { quieted } from "../src/model/quiet.ts";
import { SafetyNotes } from "../src/model/safetyNotes.ts";
import { storageOf, type KeyValueStorage } from "../src/model/storage.ts";
import type { WorldEvent } from "../src/net/messages.ts";
import { WaitingQuestions } from "../src/net/waiting.ts";

const SEOHYEON = { tag: "a".repeat(16), name: "서현" };
const DOYUN = { tag: "b".repeat(16), name: "도윤" };
const KEY = "byeolmaru.blocked";

afterEach(() => vi.unstubAllGlobals());

function storage(): KeyValueStorage & { values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

function tagNumber(number: number): string {
  return number.toString(2).padStart(16, "0").replaceAll("0", "a").replaceAll("1", "b");
}

test("a blocked player stays blocked in another seat, under another name, and after a reload", () => {
  const kept = storage();
  new PlayerList(kept, KEY).set(SEOHYEON, true);
  const list = new PlayerList(kept, KEY);
  expect(list.has({ ...SEOHYEON, name: "다른이름" } as { tag: string })).toBe(true);
  expect(list.has(DOYUN)).toBe(false);
  list.set(SEOHYEON, false);
  expect(new PlayerList(kept, KEY).players).toEqual([]);
});

test("a list keeps the latest players only", () => {
  const list = new PlayerList(storage(), KEY);
  for (let number = 0; number <= MOST_PLAYERS; number += 1) list.set({ tag: tagNumber(number), name: "x" }, true);
  expect(list.tags).toHaveLength(MOST_PLAYERS);
  expect(list.has({ tag: tagNumber(0) })).toBe(false);
  expect(list.has({ tag: tagNumber(MOST_PLAYERS) })).toBe(true);
});

test.each(["", "{", "{}", "null", '["x"]', '[{"seat":3,"name":"서현"}]', '[{"tag":"short","name":"x"}]', "[null]"])(
  "what is stored as %j blocks nobody",
  (stored) => {
    const kept = storage();
    kept.setItem(KEY, stored);
    expect(new PlayerList(kept, KEY).tags).toEqual([]);
  },
);

test("signing out leaves nothing of what the tab has kept", () => {
  const kept = storage();
  const [list, waiting, notes] = [new PlayerList(kept, KEY), new WaitingQuestions(kept), new SafetyNotes(kept)];
  list.set(SEOHYEON, true);
  waiting.follow({ t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "?" });
  notes.add({ bot: "ChatbotA", text: "109" });
  expect(kept.values.size).toBe(3);
  for (const part of [list, waiting, notes]) part.forget();
  expect(kept.values.size).toBe(0);
  expect([list.tags, waiting.ids, notes.notes]).toEqual([[], [], []]);
});

test("safety answers outlive a reload until they are closed, the latest first", () => {
  const kept = storage();
  const notes = new SafetyNotes(kept);
  for (const text of ["1", "2"]) notes.add({ bot: "ChatbotB", text });
  expect(new SafetyNotes(kept).notes.map(({ text }) => text)).toEqual(["2", "1"]);
});

test("a question that is told again is kept once", () => {
  const waiting = new WaitingQuestions(storage());
  for (let times = 0; times < 2; times += 1) waiting.follow({ t: "thinking", bot: "ChatbotA", seat: 7, name: "예빈", id: "q", text: "?" });
  expect(waiting.ids).toEqual(["q"]);
});

test("a change of the consent is kept until the gateway has taken down this very choice", () => {
  const kept = storage();
  const [first, second] = [{ store: false, learn: false }, { store: true, learn: false }];
  new ConsentWish(kept).set(first);
  const wish = new ConsentWish(kept);
  expect(wish.pending).toEqual(first);
  wish.set(second);
  wish.settled(first);
  expect(wish.pending).toBe(second);
  wish.settled(second);
  expect(new ConsentWish(kept).pending).toBeNull();
});

test("a muted player is not heard, and a bot's answer to it shows no text", () => {
  const said: WorldEvent = { t: "said", id: "a", line: "l", seat: 8, name: "서현", text: "…" };
  const answered = { t: "answered", bot: "ChatbotA", seat: 8, name: "서현", id: "", question: "?", text: "!", turn: "", version: 1, source: "model" } as const;
  const isMuted = (seat: number): boolean => seat === 8;
  expect(quieted(said, isMuted)).toBeNull();
  expect(quieted({ ...said, seat: 9 }, isMuted)).toEqual({ ...said, seat: 9 });
  expect(quieted({ t: "whispered", id: "a", line: "l", seat: 8, to: 7, name: "서현", to_name: "예빈", text: "…" }, isMuted)).toBeNull();
  expect(quieted(answered, isMuted)).toMatchObject({ t: "answered", seat: 8, question: "", text: "" });
});

test("an answer to this player is heard, also if a muted one has its old seat now", () => {
  const own = { t: "answered", bot: "ChatbotA", seat: 8, name: "예빈", id: "q", question: "?", text: "109", turn: "", version: 1, source: "safety" } as const;
  expect(quieted(own, (seat) => seat === 8)).toBe(own);
});

test("a whisper to a muted player is still shown to its sender", () => {
  const own: WorldEvent = { t: "whispered", id: "a", line: "l", seat: 7, to: 8, name: "예빈", to_name: "서현", text: "…" };
  expect(quieted(own, (seat) => seat === 8)).toBe(own);
});

test("a browser whose storage is full or forbidden breaks nothing", () => {
  const full = { getItem: () => null, setItem: () => { throw new DOMException("full", "QuotaExceededError"); }, removeItem: () => { throw new DOMException("no", "SecurityError"); } };
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  vi.stubGlobal("window", { localStorage: full });
  const list = new PlayerList(storageOf("localStorage"), KEY);
  list.set(SEOHYEON, true);
  expect(list.has(SEOHYEON)).toBe(true);
  list.forget();
  vi.stubGlobal("window", { get localStorage() { throw new DOMException("no", "SecurityError"); } });
  storageOf("localStorage").setItem("a", "1");
});
