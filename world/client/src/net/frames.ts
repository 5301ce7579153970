/** The binary movement frames, byte for byte as `protocol/frames.py` defines them. */

import type { Position } from "../scene/api.ts";

export const MOVED_BYTES = 11;
const VERSION = 1;
const MOVED = 1;
const POSITIONS = 2;
const HEAD_BYTES = 6;
const PLAYER_BYTES = 9;
const CM_PER_M = 100;

export interface PositionsFrame {
  tick: number;
  /** The last sequence number of this client's moves that the gateway has seen. */
  acknowledged: number;
  positions: Position[];
}

/** Where this player is, in the whole numbers that a frame carries. */
export interface Spot {
  xCm: number;
  zCm: number;
  height: number;
  yaw: number;
  gait: number;
}

/** Round a position to what a frame can carry. */
export function toSpot(position: Omit<Position, "seat">): Spot {
  return {
    xCm: clamped(roundHalfEven(position.x * CM_PER_M), -0x8000, 0x7fff),
    zCm: clamped(roundHalfEven(position.z * CM_PER_M), -0x8000, 0x7fff),
    height: clamped(Math.round(position.height), 0, 0xff),
    yaw: Math.round(position.yaw) & 0xff,
    gait: position.gait,
  };
}

/** Write the frame that says where this player is. */
export function writeMove(sequence: number, spot: Spot): ArrayBuffer {
  const frame = new ArrayBuffer(MOVED_BYTES);
  const view = new DataView(frame);
  view.setUint8(0, VERSION);
  view.setUint8(1, MOVED);
  view.setUint16(2, sequence & 0xffff, true);
  view.setInt16(4, spot.xCm, true);
  view.setInt16(6, spot.zCm, true);
  view.setUint8(8, spot.height);
  view.setUint8(9, spot.yaw);
  view.setUint8(10, spot.gait);
  return frame;
}

/** Read the gateway's frame with everyone's position. Returns null if it is not one of this version. */
export function readPositions(frame: ArrayBuffer): PositionsFrame | null {
  const view = new DataView(frame);
  const playersBytes = frame.byteLength - HEAD_BYTES;
  if (playersBytes < 0 || playersBytes % PLAYER_BYTES) return null;
  if (view.getUint8(0) !== VERSION || view.getUint8(1) !== POSITIONS) return null;
  const positions: Position[] = [];
  for (let at = HEAD_BYTES; at < frame.byteLength; at += PLAYER_BYTES) positions.push(readPlayer(view, at));
  return { tick: view.getUint16(2, true), acknowledged: view.getUint16(4, true), positions };
}

function readPlayer(view: DataView, at: number): Position {
  return {
    seat: view.getUint16(at, true),
    x: view.getInt16(at + 2, true) / CM_PER_M,
    z: view.getInt16(at + 4, true) / CM_PER_M,
    height: view.getUint8(at + 6),
    yaw: view.getUint8(at + 7),
    gait: view.getUint8(at + 8),
  };
}

function clamped(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** Round as Python does, so that both sides write the same bytes. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
