/** A change of the consent that the gateway has not taken down yet. It is kept, so that a withdrawn consent cannot come back. */

import { storedObject, type KeyValueStorage } from "./storage.ts";

const KEY = "byeolmaru.consent";

export interface Choice {
  store: boolean;
  learn: boolean;
}

export class ConsentWish {
  #pending: Choice | null;

  constructor(private readonly storage: KeyValueStorage) {
    const { store, learn } = storedObject(storage, KEY);
    this.#pending = typeof store === "boolean" && typeof learn === "boolean" ? { store, learn } : null;
  }

  /** What must still be told; null if nothing. */
  get pending(): Choice | null {
    return this.#pending;
  }

  set(choice: Choice): void {
    this.#pending = choice;
    this.storage.setItem(KEY, JSON.stringify(choice));
  }

  /** The gateway has taken down a choice; the player may have chosen again in between. */
  settled(choice: Choice): void {
    if (choice === this.#pending) this.forget();
  }

  forget(): void {
    this.#pending = null;
    this.storage.removeItem(KEY);
  }
}
