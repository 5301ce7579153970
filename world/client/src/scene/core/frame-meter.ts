/** Counts frames over the last second or so. */
export class FrameMeter {
  private readonly times: number[] = [];

  /** Note a frame. */
  frame(nowS: number): void {
    this.times.push(nowS);
    while (this.times.length > 2 && nowS - (this.times[0] ?? nowS) > 1.5) this.times.shift();
  }

  /** Frames per second. */
  get fps(): number {
    const first = this.times[0];
    const last = this.times.at(-1);
    if (first === undefined || last === undefined || last <= first) return 0;
    return (this.times.length - 1) / (last - first);
  }
}
