/** How long to wait before the next try to connect: twice as long each time, with jitter so that clients spread out. */

const FIRST_MS = 300;
const MOST_MS = 10_000;

export class Backoff {
  #failures = 0;

  /** @param draw returns a number from 0 to 1. */
  constructor(private readonly draw: () => number = Math.random) {}

  get failures(): number {
    return this.#failures;
  }

  /** Count a failure and return the wait in milliseconds: from half of the full wait to all of it. */
  nextMs(): number {
    const fullMs = Math.min(MOST_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return fullMs * (0.5 + this.draw() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
