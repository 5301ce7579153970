/** The safety answers that the player has not closed yet. The tab keeps them, so that a reload does not lose them. */

import { BOT_IDS, type Answered } from "../net/messages.ts";
import { storedList, type KeyValueStorage } from "./storage.ts";

const KEY = "byeolmaru.safety";
const MOST = 5;

export type SafetyNote = Pick<Answered, "bot" | "text">;

export class SafetyNotes {
  #notes: SafetyNote[];

  constructor(private readonly storage: KeyValueStorage) {
    this.#notes = storedList(storage, KEY, isNote);
  }

  /** The notes, the latest first. */
  get notes(): readonly SafetyNote[] {
    return this.#notes;
  }

  add({ bot, text }: SafetyNote): void {
    this.#notes = [{ bot, text }, ...this.#notes].slice(0, MOST);
    this.storage.setItem(KEY, JSON.stringify(this.#notes));
  }

  forget(): void {
    this.#notes = [];
    this.storage.removeItem(KEY);
  }
}

function isNote(found: unknown): found is SafetyNote {
  if (typeof found !== "object" || found === null) return false;
  const { bot, text } = found as Partial<Record<"bot" | "text", unknown>>;
  return BOT_IDS.some((id) => id === bot) && typeof text === "string";
}
