/** Sends this player's movement: on change only, at most 15 times per second, always the latest. */

import type { Position } from "../scene/api.ts";
import { toSpot, writeMove, type Spot } from "./frames.ts";

export const LEAST_GAP_MS = 1000 / 15;
const KEPT_ECHOES = 256;

/** What the sender needs from its surroundings; tests replace it. */
export interface MoveOutlet {
  /** Send a frame; returns false while there is no connection. */
  send(frame: ArrayBuffer): boolean;
  nowMs(): number;
  later(ms: number, action: () => void): void;
}

export class MoveSender {
  #latest: Spot | null = null;
  #sent: Spot | null = null;
  #sentMs = Number.NEGATIVE_INFINITY;
  #sequence = 0;
  #isScheduled = false;
  readonly #sentMsBySequence = new Map<number, number>();
  readonly #echoesMs: number[] = [];

  constructor(private readonly outlet: MoveOutlet) {}

  /** Say where the player is now. */
  offer(position: Omit<Position, "seat">): void {
    this.#latest = toSpot(position);
    this.#flush();
  }

  /** Forget what the gateway knows, after it has moved the player or the connection was lost. */
  forgetSent(): void {
    this.#sent = null;
  }

  /** Send the latest position if the gateway does not know it. */
  resume(): void {
    this.#flush();
  }

  /** Drop the latest position: the player is elsewhere now. */
  reset(): void {
    this.#latest = this.#sent = null;
  }

  /** Measure the time from a move to its echo. */
  acknowledged(sequence: number): void {
    const sentMs = this.#sentMsBySequence.get(sequence);
    if (sentMs === undefined) return;
    this.#echoesMs.push(this.outlet.nowMs() - sentMs);
    if (this.#echoesMs.length > KEPT_ECHOES) this.#echoesMs.shift();
    for (const older of [...this.#sentMsBySequence.keys()]) {
      this.#sentMsBySequence.delete(older);
      if (older === sequence) break;
    }
  }

  /** The time from a move to its echo, in milliseconds; null before the first echo. */
  echoMs(quantile: number): number | null {
    const sorted = [...this.#echoesMs].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? null;
  }

  #flush(): void {
    if (this.#latest === null || isSame(this.#latest, this.#sent)) return;
    const waitMs = this.#sentMs + LEAST_GAP_MS - this.outlet.nowMs();
    if (waitMs <= 0) this.#send(this.#latest);
    else this.#schedule(waitMs);
  }

  #schedule(waitMs: number): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.outlet.later(waitMs, () => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #send(spot: Spot): void {
    const sequence = (this.#sequence + 1) & 0xffff;
    if (!this.outlet.send(writeMove(sequence, spot))) return;
    this.#sequence = sequence;
    this.#sent = spot;
    this.#sentMs = this.outlet.nowMs();
    this.#sentMsBySequence.set(sequence, this.#sentMs);
    if (this.#sentMsBySequence.size > KEPT_ECHOES) this.#sentMsBySequence.clear();
  }
}

function isSame(a: Spot, b: Spot | null): boolean {
  return (
    b !== null && a.xCm === b.xCm && a.zCm === b.zCm && a.height === b.height && a.yaw === b.yaw && a.gait === b.gait
  );
}
