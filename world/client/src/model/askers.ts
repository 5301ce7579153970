/** Who waits for which bot's answer: several players may ask one bot at once, and each of them waits for a limited time. */

import type { BotId, WorldEvent } from "../net/messages.ts";

/** Every question ends within this time; its end may be missed, for example by walking away. */
export const MOST_WAIT_MS = 15_000;

export interface Asker {
  seat: number;
  name: string;
}

export interface AskersOptions {
  later(ms: number, action: () => void): number;
  never(timer: number): void;
}

type Listener = (bot: BotId, seat: number, thinking: boolean) => void;

interface Waiting extends Asker {
  bot: BotId;
  /** The question's id; empty for other players' questions. */
  id: string;
  timer: number;
}

export class Askers {
  #waiting: Waiting[] = [];
  readonly #listeners = new Set<Listener>();

  constructor(private readonly options: AskersOptions) {}

  /** Call a listener whenever a bot begins or ends to think about a player's question. */
  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  /** The players for whom a bot thinks, the first one first. */
  of(bot: BotId): Asker[] {
    return this.#waiting.filter((found) => found.bot === bot);
  }

  /** Follow an event. */
  follow(event: WorldEvent): void {
    if (event.t === "thinking") this.#add(event);
    else if (event.t === "answered") this.#end(({ bot, seat }) => bot === event.bot && seat === event.seat);
    else if (event.t === "unanswered") this.#end(({ id }) => id !== "" && id === event.id);
    else if (event.t === "welcome") this.#end(() => true);
  }

  #add({ bot, seat, name, id }: Extract<WorldEvent, { t: "thinking" }>): void {
    const known = this.#waiting.find((found) => found.bot === bot && found.seat === seat);
    const waiting: Waiting = { bot, seat, name, id, timer: 0 };
    waiting.timer = this.options.later(MOST_WAIT_MS, () => this.#end((found) => found === waiting));
    this.#waiting = [...this.#waiting.filter((found) => found !== known), waiting];
    this.#tell(bot, seat, true);
  }

  #end(isOver: (waiting: Waiting) => boolean): void {
    const over = this.#waiting.filter(isOver);
    this.#waiting = this.#waiting.filter((found) => !over.includes(found));
    for (const { bot, seat, timer } of over) {
      this.options.never(timer);
      this.#tell(bot, seat, false);
    }
  }

  #tell(bot: BotId, seat: number, thinking: boolean): void {
    for (const listener of this.#listeners) listener(bot, seat, thinking);
  }
}
