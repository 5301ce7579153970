/** Decides when the panels are loaded again: at equal intervals, not while paused or while nobody can see the page. */

export interface RefresherOptions {
  refresh(): void;
  isVisible(): boolean;
  nowMs(): number;
  later(ms: number, action: () => void): number;
  never(timer: number): void;
}

export class Refresher {
  #everyMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: number | null = null;
  #isPaused = false;

  constructor(private readonly options: RefresherOptions) {}

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Begin: the panels have just been loaded. */
  start(everyS: number): void {
    this.#everyMs = everyS * 1000;
    this.loaded();
  }

  /** End for good, until the next start. */
  stop(): void {
    this.#everyMs = 0;
    this.#wait();
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#wait();
  }

  /** The panels are being loaded, for whatever reason: the next time is one interval later. */
  loaded(): void {
    this.#lastMs = this.options.nowMs();
    this.#wait();
  }

  /** The page is seen again, or not any more. */
  seen(): void {
    this.#wait();
  }

  #wait(): void {
    if (this.#timer !== null) this.options.never(this.#timer);
    this.#timer = null;
    if (this.#everyMs <= 0 || this.#isPaused || !this.options.isVisible()) return;
    const leftMs = Math.max(0, this.#lastMs + this.#everyMs - this.options.nowMs());
    this.#timer = this.options.later(leftMs, () => {
      this.#timer = null;
      this.loaded();
      this.options.refresh();
    });
  }
}
