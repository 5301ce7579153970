/** A list of players that this browser or this tab keeps: whom the player has blocked or muted. */

import type { Player } from "../net/messages.ts";
import { storedList, type KeyValueStorage } from "./storage.ts";

/** As many as `enter` may name. */
export const MOST_PLAYERS = 200;
const TAG = /^[a-z2-7]{16}$/;

export interface ListedPlayer {
  tag: string;
  /** The name that the player had at that time. */
  name: string;
}

export class PlayerList {
  #players: ListedPlayer[];
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly storage: KeyValueStorage,
    private readonly key: string,
  ) {
    this.#players = storedList(storage, key, isListed).slice(-MOST_PLAYERS);
  }

  /** Call a listener after each change. Returns how to stop it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The players, the latest last. */
  get players(): readonly ListedPlayer[] {
    return this.#players;
  }

  get tags(): string[] {
    return this.#players.map(({ tag }) => tag);
  }

  has({ tag }: Pick<Player, "tag">): boolean {
    return this.#players.some((player) => player.tag === tag);
  }

  /** Put a player on the list, or take it off. A full list forgets its first. */
  set({ tag, name }: ListedPlayer, listed: boolean): void {
    const others = this.#players.filter((player) => player.tag !== tag);
    this.#players = listed ? [...others, { tag, name }].slice(-MOST_PLAYERS) : others;
    this.storage.setItem(this.key, JSON.stringify(this.#players));
    for (const listener of this.#listeners) listener();
  }

  /** Forget everyone. */
  forget(): void {
    this.#players = [];
    this.storage.removeItem(this.key);
    for (const listener of this.#listeners) listener();
  }
}

function isListed(found: unknown): found is ListedPlayer {
  if (typeof found !== "object" || found === null) return false;
  const { tag, name } = found as Partial<Record<"tag" | "name", unknown>>;
  return typeof tag === "string" && TAG.test(tag) && typeof name === "string";
}
