/** How fast lines and questions are sent again after a loss: more slowly than the gateway allows, or it mutes the player. */

import type { Lasting } from "./unconfirmed.ts";

export class Pace {
  /** Whether a timer is going to send the next one. */
  isWaiting = false;
  /** When all would be sent at an even pace. */
  #evenMs = 0;

  constructor(
    private readonly everyMs: number,
    private readonly atOnce: number,
  ) {}

  /** How long the next one has to wait. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#evenMs - (this.atOnce - 1) * this.everyMs - nowMs);
  }

  sent(nowMs: number): void {
    this.#evenMs = Math.max(this.#evenMs, nowMs) + this.everyMs;
  }
}

export class Paces {
  readonly #line = new Pace(1_100, 4);
  readonly #question = new Pace(2_100, 1);

  /** Return the pace of a command; null if it need not be held back. */
  of({ t }: Lasting): Pace | null {
    if (t === "ask") return this.#question;
    return t === "say" || t === "whisper" ? this.#line : null;
  }

  /** The timers are gone. */
  stop(): void {
    this.#line.isWaiting = this.#question.isWaiting = false;
  }
}
