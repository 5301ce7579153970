const WINDOW_S = 1.5;

/** Counts frames over the last second or so. */
export class FrameMeter {
  private readonly times: number[] = [];

  /** Note a frame. */
  frame(nowS: number): void {
    this.times.push(nowS);
    // One time from before the window is kept, so that a long wait for a frame counts.
    while (nowS - (this.times[1] ?? nowS) > WINDOW_S) this.times.shift();
  }

  /** Frames per second. */
  get fps(): number {
    const first = this.times[0];
    const last = this.times.at(-1);
    if (first === undefined || last === undefined || last <= first) return 0;
    return (this.times.length - 1) / (last - first);
  }
}
