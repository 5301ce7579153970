/** What this client knows of the world: who is where, what the bots do, and what this player has agreed to. */

import type { BotView } from "../scene/api.ts";
import type { BotId, EventName, EventOf, Player, RoomView, WorldEvent } from "../net/messages.ts";

export interface Me {
  seat: number;
  name: string;
  store: boolean;
  learn: boolean;
  minor: boolean;
}

/** Parts of the model that a listener may care about. */
export type ModelPart = "me" | "players" | "bots" | "rooms";

export class WorldModel {
  me: Me | null = null;
  room = 0;
  seats = 0;
  /** Everyone in the room but this player. */
  readonly players = new Map<number, Player>();
  /** The tags of those who have left the room, by their last seat. */
  readonly #gone = new Map<number, string>();
  readonly bots = new Map<BotId, BotView>();
  rooms: RoomView[] = [];
  /** This player's own avatar, as it entered. */
  avatar: Player | null = null;
  readonly #listeners = new Set<(part: ModelPart) => void>();

  /** Call a listener after each change of a part. */
  onChange(listener: (part: ModelPart) => void): void {
    this.#listeners.add(listener);
  }

  /** Return the name of a player in the room, this one too. */
  nameOf(seat: number): string | undefined {
    return seat === this.me?.seat ? this.me.name : this.players.get(seat)?.name;
  }

  /** Return the player with a tag, if it is in the room: its seat may be another one than before. */
  withTag(tag: string | undefined): Player | undefined {
    return [...this.players.values()].find((player) => player.tag === tag);
  }

  /** Return the seat of a player who is or was in the room; undefined if nobody, or somebody else, had it last. */
  seatOf({ tag, seat }: Pick<Player, "tag" | "seat">): number | undefined {
    return this.withTag(tag)?.seat ?? (!this.players.has(seat) && this.#gone.get(seat) === tag ? seat : undefined);
  }

  /** The number of people in the room. */
  get count(): number {
    return this.players.size + (this.me ? 1 : 0);
  }

  /** Keep where somebody is. Positions change often, so nobody is told. */
  place({ seat, x, z, yaw }: Pick<Player, "seat" | "x" | "z" | "yaw">): void {
    const player = seat === this.me?.seat ? this.avatar : this.players.get(seat);
    if (player) Object.assign(player, { x, z, yaw });
  }

  /** Follow an event. */
  follow(event: WorldEvent): void {
    const parts = this.#change(event);
    for (const part of parts) for (const listener of this.#listeners) listener(part);
  }

  #change(event: WorldEvent): readonly ModelPart[] {
    switch (event.t) {
      case "welcome":
        return this.#enter(event);
      case "joined":
        if (event.player.seat !== this.me?.seat) this.players.set(event.player.seat, event.player);
        return ["players"];
      case "left":
        this.#gone.set(event.seat, this.players.get(event.seat)?.tag ?? "");
        this.players.delete(event.seat);
        return ["players"];
      case "dressed":
        return this.#dress(event);
      case "consented":
        if (this.me) this.me = { ...this.me, store: event.store, learn: event.learn };
        return ["me"];
      case "staged":
        this.bots.set(event.bot.bot, event.bot);
        return ["bots"];
      case "rooms":
        this.rooms = event.rooms;
        return ["rooms"];
      default:
        return [];
    }
  }

  #enter(event: EventOf<"welcome">): readonly ModelPart[] {
    const { you: seat, name, store, learn, minor } = event;
    this.me = { seat, name, store, learn, minor };
    this.room = event.room;
    this.seats = event.seats;
    this.rooms = event.rooms;
    this.players.clear();
    this.#gone.clear();
    for (const player of event.players) if (player.seat !== seat) this.players.set(player.seat, player);
    this.avatar = event.players.find((player) => player.seat === seat) ?? null;
    this.bots.clear();
    for (const bot of event.bots) this.bots.set(bot.bot, bot);
    return ["me", "players", "bots", "rooms"];
  }

  #dress(event: EventOf<"dressed">): readonly ModelPart[] {
    const player = this.players.get(event.seat);
    if (player) this.players.set(event.seat, { ...player, look: event.look });
    if (this.avatar?.seat === event.seat) this.avatar = { ...this.avatar, look: event.look };
    return ["players"];
  }
}

type Handlers = { [Name in EventName]?: (event: EventOf<Name>) => void };

/** Hands events to whoever listens. */
export class EventBus {
  readonly #handlers: Handlers[] = [];

  /** Listen to some kinds of events. */
  on(handlers: Handlers): void {
    this.#handlers.push(handlers);
  }

  emit(event: WorldEvent): void {
    for (const handlers of this.#handlers) {
      const handler = handlers[event.t] as ((event: WorldEvent) => void) | undefined;
      handler?.(event);
    }
  }
}
