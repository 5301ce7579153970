/** Loads something in two steps. What a newer load or a stop has made useless is thrown away, wherever it has got to. */

export class LatestLoad<Item extends { dispose(): void }> {
  #number = 0;

  /**
   * Fetch and make an item. Returns null if it is no longer wanted; then it is disposed of, and its errors do not matter.
   *
   * @param fetch gets what making needs; changes nothing that others see.
   * @param make makes the item.
   */
  async load<Needed>(fetch: () => Promise<Needed>, make: (needed: Needed) => Promise<Item>): Promise<Item | null> {
    const number = ++this.#number;
    try {
      const needed = await fetch();
      if (number !== this.#number) return null;
      const item = await make(needed);
      if (number === this.#number) return item;
      item.dispose();
      return null;
    } catch (error) {
      if (number !== this.#number) return null;
      throw error;
    }
  }

  /** What is being loaded is no longer wanted. */
  stop(): void {
    this.#number += 1;
  }
}
