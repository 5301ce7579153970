/** How long a bot is shown thinking about a question of which nothing more is heard. */
export const MOST_THINKING_S = 15;

/** Whose questions a bot thinks about. It thinks while any asker waits, and about the newest question last asked. */
export class Askers {
  private readonly untilS = new Map<number, number>();

  /** A player has asked; asking again begins the time anew. */
  asked(seat: number, nowS: number): void {
    this.untilS.delete(seat);
    this.untilS.set(seat, nowS + MOST_THINKING_S);
  }

  /** A player has got an answer, or will get none. */
  answered(seat: number): void {
    this.untilS.delete(seat);
  }

  /** Forget who has waited too long. */
  expire(nowS: number): void {
    for (const [seat, untilS] of this.untilS) if (nowS >= untilS) this.untilS.delete(seat);
  }

  /** Whether anyone waits. */
  get any(): boolean {
    return this.untilS.size > 0;
  }

  /** The seat of who asked last, or null. */
  get newest(): number | null {
    return [...this.untilS.keys()].at(-1) ?? null;
  }
}
