/** This player's questions that have no answer yet. Kept for the tab, so that a reload does not lose an answer. */

import { storedList, type KeyValueStorage } from "../model/storage.ts";
import type { BotId, WorldEvent } from "./messages.ts";

const KEY = "byeolmaru.waiting";
const MOST = 8;

export interface Waiting {
  id: string;
  bot: BotId;
  text: string;
}

export class WaitingQuestions {
  #questions: Waiting[];

  constructor(private readonly storage: KeyValueStorage) {
    this.#questions = storedList(storage, KEY, isWaiting).slice(-MOST);
  }

  /** The ids, for `enter`. */
  get ids(): string[] {
    return this.#questions.map((question) => question.id);
  }

  /** The question that waits for a bot's answer, if there is one. */
  of(bot: BotId): Waiting | undefined {
    return this.#questions.find((question) => question.bot === bot);
  }

  /** Follow an event: a thinking bot adds a question, its end removes it. Returns the question that an answer ends. */
  follow(event: WorldEvent): Waiting | undefined {
    if (event.t === "thinking" && event.id !== "") this.#add({ id: event.id, bot: event.bot, text: event.text });
    if (event.t !== "answered" && event.t !== "unanswered") return undefined;
    const ended = this.#questions.find(({ id }) => id === event.id);
    if (ended) this.#keep(this.#questions.filter((question) => question !== ended));
    return ended;
  }

  /** Forget all questions. */
  forget(): void {
    this.#questions = [];
    this.storage.removeItem(KEY);
  }

  #add(question: Waiting): void {
    if (!this.ids.includes(question.id)) this.#keep([...this.#questions, question].slice(-MOST));
  }

  #keep(questions: Waiting[]): void {
    this.#questions = questions;
    this.storage.setItem(KEY, JSON.stringify(questions));
  }
}

function isWaiting(found: unknown): found is Waiting {
  if (typeof found !== "object" || found === null) return false;
  const { id, bot, text } = found as Partial<Record<keyof Waiting, unknown>>;
  return typeof id === "string" && typeof bot === "string" && typeof text === "string";
}
