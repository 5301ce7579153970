import { beforeEach, expect, test } from "vitest";
import { LEAST_GAP_MS, MoveSender } from "../src/net/moves.ts";

let nowMs = 0;
let isConnected = true;
let sent: DataView[] = [];
let timers: { atMs: number; action: () => void }[] = [];
let moves: MoveSender;

beforeEach(() => {
  nowMs = 1_000;
  isConnected = true;
  sent = [];
  timers = [];
  moves = new MoveSender({
    send: (frame) => {
      if (isConnected) sent.push(new DataView(frame));
      return isConnected;
    },
    nowMs: () => nowMs,
    later: (ms, action) => timers.push({ atMs: nowMs + ms, action }),
  });
});

function wait(ms: number): void {
  nowMs += ms;
  for (const timer of timers.splice(0)) {
    if (timer.atMs <= nowMs) timer.action();
    else timers.push(timer);
  }
}

function at(x: number): { x: number; z: number; height: number; yaw: number; gait: number } {
  return { x, z: 0, height: 0, yaw: 0, gait: 1 };
}

function sentXs(): number[] {
  return sent.map((frame) => frame.getInt16(4, true) / 100);
}

test("at 60 frames per second, at most 15 moves per second are sent, and the last one always", () => {
  for (let frame = 0; frame < 60; frame += 1) {
    moves.offer(at(frame / 10));
    wait(1000 / 60);
  }
  wait(LEAST_GAP_MS);
  expect(sent.length).toBeLessThanOrEqual(16);
  expect(sent.length).toBeGreaterThan(12);
  expect(sentXs().at(-1)).toBe(5.9);
});

test("standing still sends nothing", () => {
  for (let frame = 0; frame < 60; frame += 1) {
    moves.offer(at(1));
    wait(100);
  }
  expect(sent).toHaveLength(1);
});

test("what changed without a connection is sent when it is back", () => {
  moves.offer(at(1));
  isConnected = false;
  wait(100);
  moves.offer(at(2));
  moves.forgetSent();
  isConnected = true;
  moves.resume();
  expect(sentXs()).toEqual([1, 2]);
});

test("after the gateway has moved the player, the old position is not sent", () => {
  moves.offer(at(1));
  wait(10);
  moves.offer(at(2));
  moves.reset();
  wait(100);
  expect(sentXs()).toEqual([1]);
  moves.offer(at(1));
  expect(sentXs()).toEqual([1, 1]);
});

test("the echo of a move is measured", () => {
  expect(moves.echoMs(0.5)).toBeNull();
  moves.offer(at(1));
  wait(40);
  moves.acknowledged(1);
  moves.acknowledged(1);
  expect(moves.echoMs(0.5)).toBe(40);
});
