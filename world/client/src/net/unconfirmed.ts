/** Commands that the gateway has not confirmed yet. They are sent again after a reconnect, and given up after a while. */

import type { Command, WorldEvent } from "./messages.ts";

export const GIVE_UP_MS = 12_000;
export const MOST = 40;

/** The commands that matter enough to be sent again. Emotes and the like are not: they belong to their moment. */
export type Lasting = Extract<
  Command,
  { t: "say" | "whisper" | "ask" | "rate" | "teach" | "report_turn" | "report_player" | "consent" }
>;

interface Kept {
  command: Lasting;
  /** The connection that it was last sent on; 0 before it was sent. */
  connection: number;
  /** When it was last sent. */
  sentMs: number;
}

export class Unconfirmed {
  #kept: Kept[] = [];

  get size(): number {
    return this.#kept.length;
  }

  /** Keep a command. Returns those that are too many to be kept any longer. */
  add(command: Lasting): Lasting[] {
    const kept = [...this.#kept, { command, connection: 0, sentMs: 0 }];
    this.#kept = kept.slice(-MOST);
    return kept.slice(0, -MOST).map((dropped) => dropped.command);
  }

  /** Mark a command as sent on a connection. */
  sent(command: Lasting, connection: number, nowMs: number): void {
    const kept = this.#kept.find((found) => found.command === command);
    if (kept) Object.assign(kept, { connection, sentMs: nowMs });
  }

  /** Return the commands that were not sent on this connection. */
  unsent(connection: number): Lasting[] {
    return this.#kept.filter((kept) => kept.connection !== connection).map((kept) => kept.command);
  }

  /** Forget what an event confirms or refuses. Returns the commands that it was about. */
  follow(event: WorldEvent): Lasting[] {
    if (event.t !== "refusal") return this.#take(({ command }) => isAbout(event, command));
    const refused = this.#kept.find((kept) => isRefused(event.of, kept));
    return this.#take((kept) => kept === refused);
  }

  /** Return and forget the commands that this connection should have confirmed long ago. */
  giveUp(connection: number, nowMs: number): Lasting[] {
    return this.#take((kept) => kept.connection === connection && nowMs - kept.sentMs > GIVE_UP_MS);
  }

  /** Return and forget the commands that name a player by the seat: seats have changed. */
  takeSeatBound(): Lasting[] {
    return this.#take(({ command }) => command.t === "whisper" || command.t === "report_player");
  }

  /** Return and forget all commands. */
  takeAll(): Lasting[] {
    return this.#take(() => true);
  }

  #take(isTaken: (kept: Kept) => boolean): Lasting[] {
    const taken = this.#kept.filter(isTaken);
    this.#kept = this.#kept.filter((kept) => !taken.includes(kept));
    return taken.map((kept) => kept.command);
  }
}

/** Commands without an id are refused in the order in which they were sent. */
function isRefused(of: string, { command, connection }: Kept): boolean {
  return connection > 0 && ("id" in command ? of === command.id : of === command.t);
}

function isAbout(event: WorldEvent, command: Lasting): boolean {
  switch (command.t) {
    case "say":
      return event.t === "said" && event.id === command.id;
    case "whisper":
      return event.t === "whispered" && event.id === command.id;
    case "ask":
      return (event.t === "thinking" || event.t === "answered" || event.t === "unanswered") && event.id === command.id;
    case "rate":
      return event.t === "noted" && event.turn === command.turn && event.kind === (command.up ? "up" : "down");
    case "teach":
      return event.t === "noted" && event.turn === command.turn && event.kind === "correction";
    case "report_turn":
      return event.t === "noted" && event.turn === command.turn && event.kind === "report";
    case "report_player":
      return event.t === "reported" && event.seat === command.seat;
    case "consent":
      return event.t === "consented";
  }
}
