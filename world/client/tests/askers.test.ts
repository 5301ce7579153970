/** Several players ask one bot at once; each of their questions ends for itself, also if its end is missed. */

import { beforeEach, expect, test } from "vitest";
import { Askers, MOST_WAIT_MS } from "../src/model/askers.ts";
import type { WorldEvent } from "../src/net/messages.ts";

let timers: { id: number; atMs: number; action: () => void }[] = [];
let nowMs = 0;
let changes: string[] = [];
let askers: Askers;

beforeEach(() => {
  timers = [];
  nowMs = 0;
  changes = [];
  askers = new Askers({
    later: (ms, action) => {
      const id = timers.length + nowMs + 1;
      timers.push({ id, atMs: nowMs + ms, action });
      return id;
    },
    never: (id) => void (timers = timers.filter((timer) => timer.id !== id)),
  });
  askers.onChange((bot, seat, thinking) => void changes.push(`${bot} ${seat} ${thinking}`));
});

function wait(ms: number): void {
  nowMs += ms;
  for (const timer of timers.filter(({ atMs }) => atMs <= nowMs)) {
    timers = timers.filter((found) => found !== timer);
    timer.action();
  }
}

function thinking(seat: number, id = "", bot = "ChatbotA"): WorldEvent {
  return { t: "thinking", bot, seat, name: `이름${seat}`, id, text: "" } as WorldEvent;
}

function answered(seat: number, id = "", bot = "ChatbotA"): WorldEvent {
  return { t: "answered", bot, seat, name: `이름${seat}`, id, question: "", text: "", turn: "", version: 0, source: "model" } as WorldEvent;
}

function seats(): number[] {
  return askers.of("ChatbotA").map(({ seat }) => seat);
}

test("the first answer does not end the others' thinking", () => {
  for (const event of [thinking(1), thinking(2), answered(1)]) askers.follow(event);
  expect(seats()).toEqual([2]);
  expect(changes).toEqual(["ChatbotA 1 true", "ChatbotA 2 true", "ChatbotA 1 false"]);
});

test("another bot's answer to the same player ends nothing here", () => {
  for (const event of [thinking(1), answered(1, "", "ChatbotB")]) askers.follow(event);
  expect(seats()).toEqual([1]);
});

test("a question without an answer ends by its id", () => {
  for (const event of [thinking(1), thinking(7, "q")]) askers.follow(event);
  askers.follow({ t: "unanswered", bot: "ChatbotA", id: "q", reason: "timeout" });
  expect(seats()).toEqual([1]);
});

test("whose end was missed is forgotten in time, each for itself", () => {
  askers.follow(thinking(1));
  wait(5_000);
  askers.follow(thinking(2));
  wait(MOST_WAIT_MS - 5_000);
  expect(seats()).toEqual([2]);
  wait(5_000);
  expect(seats()).toEqual([]);
});

test("the same question that is told again begins its time again, and counts once", () => {
  askers.follow(thinking(7, "q"));
  wait(10_000);
  askers.follow(thinking(7, "q"));
  expect(seats()).toEqual([7]);
  wait(10_000);
  expect(seats()).toEqual([7]);
});

test("a welcome begins anew: nothing of another room is left", () => {
  askers.follow(thinking(1));
  askers.follow({ t: "welcome" } as WorldEvent);
  expect(seats()).toEqual([]);
  expect(timers).toEqual([]);
});
