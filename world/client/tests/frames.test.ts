/** The expected bytes come from `protocol/frames.py`. */

import { expect, test } from "vitest";
import { readPositions, toSpot, writeMove } from "../src/net/frames.ts";

const MOVES: [number, Parameters<typeof toSpot>[0], string][] = [
  [1, { x: 0, z: 13, height: 0, yaw: 0, gait: 0 }, "0101010000001405000000"],
  [65_535, { x: -96, z: 96, height: 45, yaw: 255, gait: 3 }, "0101ffff80da80252dff03"],
  [258, { x: 0.125, z: -0.135, height: 12, yaw: 64, gait: 2 }, "010102010c00f2ff0c4002"],
  [7, { x: -1.005, z: 12.345, height: 0, yaw: 128, gait: 1 }, "010107009cffd204008001"],
];

test.each(MOVES)("move %i has the bytes that Python writes", (sequence, position, expected) => {
  expect(hexOf(writeMove(sequence, toSpot(position)))).toBe(expected);
});

test("positions are read as Python reads them", () => {
  const frame = bytesOf("010270112a0001000000140500000001022efb2e1614c803");
  expect(readPositions(frame)).toEqual({
    tick: 4464,
    acknowledged: 42,
    positions: [
      { seat: 1, x: 0, z: 13, height: 0, yaw: 0, gait: 0 },
      { seat: 513, x: -12.34, z: 56.78, height: 20, yaw: 200, gait: 3 },
    ],
  });
});

test.each(["", "0102", "020270112a00", "010170112a00", "010270112a00ff"])("frame %j is not read", (frame) => {
  expect(readPositions(bytesOf(frame))).toBeNull();
});

test("what a frame cannot carry is brought into its range", () => {
  expect(toSpot({ x: 1e6, z: -1e6, height: 300, yaw: 256, gait: 1 })).toEqual({
    xCm: 32_767, zCm: -32_768, height: 255, yaw: 0, gait: 1,
  });
});

function hexOf(frame: ArrayBuffer): string {
  return [...new Uint8Array(frame)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hex: string): ArrayBuffer {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16);
  return bytes.buffer;
}
