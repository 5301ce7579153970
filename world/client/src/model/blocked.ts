/** Whom this player has blocked. The gateway does not say it again, so the tab remembers it. */

import type { PlayerView } from "../scene/api.ts";

const KEY = "byeolmaru.blocked";

interface Entry {
  seat: number;
  name: string;
}

export class Blocked {
  #entries: Entry[];

  constructor(private readonly storage: Pick<Storage, "getItem" | "setItem">) {
    this.#entries = read(storage.getItem(KEY));
  }

  /** A seat goes to somebody else some day, so the name must be the same too. */
  has(player: Pick<PlayerView, "seat" | "name">): boolean {
    return this.#entries.some((entry) => entry.seat === player.seat && entry.name === player.name);
  }

  set(player: Pick<PlayerView, "seat" | "name">, blocked: boolean): void {
    const others = this.#entries.filter((entry) => entry.seat !== player.seat);
    this.#entries = blocked ? [...others, { seat: player.seat, name: player.name }] : others;
    this.storage.setItem(KEY, JSON.stringify(this.#entries));
  }
}

function read(stored: string | null): Entry[] {
  try {
    const found: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(found) ? found.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(found: unknown): found is Entry {
  return typeof found === "object" && found !== null && "seat" in found && "name" in found;
}
