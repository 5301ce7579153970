/** The ids of this player's questions that have no answer yet. Kept for the tab, so that a reload does not lose an answer. */

import type { BotId, WorldEvent } from "./messages.ts";

const KEY = "byeolmaru.waiting";
const MOST = 8;

export interface Waiting {
  id: string;
  bot: BotId;
}

export class WaitingQuestions {
  #questions: Waiting[];

  constructor(private readonly storage: Pick<Storage, "getItem" | "setItem">) {
    this.#questions = read(storage.getItem(KEY));
  }

  /** The ids, for `enter`. */
  get ids(): string[] {
    return this.#questions.map((question) => question.id);
  }

  /** The question that waits for a bot's answer, if there is one. */
  of(bot: BotId): Waiting | undefined {
    return this.#questions.find((question) => question.bot === bot);
  }

  /** Follow an event: a thinking bot adds a question, its end removes it. */
  follow(event: WorldEvent): void {
    if (event.t === "thinking" && event.id !== "") this.#add({ id: event.id, bot: event.bot });
    if (event.t === "answered" || event.t === "unanswered") this.#remove(event.id);
  }

  #add(question: Waiting): void {
    if (this.ids.includes(question.id)) return;
    this.#questions = [...this.#questions, question].slice(-MOST);
    this.#save();
  }

  #remove(id: string): void {
    this.#questions = this.#questions.filter((question) => question.id !== id);
    this.#save();
  }

  #save(): void {
    this.storage.setItem(KEY, JSON.stringify(this.#questions));
  }
}

function read(stored: string | null): Waiting[] {
  try {
    const found: unknown = JSON.parse(stored ?? "[]");
    return Array.isArray(found) ? found.filter(isWaiting).slice(-MOST) : [];
  } catch {
    return [];
  }
}

function isWaiting(found: unknown): found is Waiting {
  return typeof found === "object" && found !== null && "id" in found && typeof found.id === "string" && "bot" in found;
}
