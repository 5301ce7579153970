/** What the parts of the page may know and do: the model, the settings, and one method per wish of the player. */

import { Connection, type LinkState } from "../net/connection.ts";
import type { PositionsFrame } from "../net/frames.ts";
import { newId } from "../net/ids.ts";
import type { BotId, Command, EventOf, Player, WorldEvent } from "../net/messages.ts";
import { MoveSender } from "../net/moves.ts";
import { getSession, postSession, type SessionInfo } from "../net/session.ts";
import type { Lasting } from "../net/unconfirmed.ts";
import { WaitingQuestions } from "../net/waiting.ts";
import { Askers } from "../model/askers.ts";
import { ConsentWish } from "../model/consentWish.ts";
import { forgetLook, storeLook, storedLook } from "../model/looks.ts";
import { PlayerList, type ListedPlayer } from "../model/playerList.ts";
import { quieted } from "../model/quiet.ts";
import { SafetyNotes } from "../model/safetyNotes.ts";
import type { Settings } from "../model/settings.ts";
import { storageOf } from "../model/storage.ts";
import { EventBus, WorldModel } from "../model/world.ts";
import type { EmoteKind, Look, Position } from "../scene/api.ts";

export interface GameListeners {
  link(state: LinkState): void;
  positions(frame: PositionsFrame): void;
  /** Commands were refused; the event says why. Empty for commands that are not kept. */
  refused(refusal: EventOf<"refusal">, commands: readonly Lasting[]): void;
  lost(command: Lasting): void;
  /** A change of the block list was refused: the player is blocked, or not, as before. */
  blockRefused(player: ListedPlayer, blocked: boolean): void;
}

/** What a report of a person is about: somebody in the room, or a line, whose author may have left. */
export type Reported = Pick<Player, "seat" | "tag"> | { seat: number; line: string };

export class Game {
  readonly model = new WorldModel();
  readonly bus = new EventBus();
  /** Whom this browser's player blocks: the gateway is told. */
  readonly blocked = new PlayerList(storageOf("localStorage"), "byeolmaru.blocked");
  /** Whose words this tab does not show: nobody is told. */
  readonly muted = new PlayerList(storageOf("sessionStorage"), "byeolmaru.muted");
  readonly waiting = new WaitingQuestions(storageOf("sessionStorage"));
  readonly consentWish = new ConsentWish(storageOf("localStorage"));
  readonly safety = new SafetyNotes(storageOf("sessionStorage"));
  readonly askers = new Askers({ later: (ms, action) => window.setTimeout(action, ms), never: (timer) => window.clearTimeout(timer) });
  readonly connection: Connection;
  readonly moves: MoveSender;
  /** Who the guest is, and where the web portals lead. */
  session: SessionInfo = { guest: null, portals: [] };
  look: Look = storedLook(storageOf("localStorage"));
  /** Whether the player is an operator too, who may see the records of turns. */
  isOperator = false;
  #listeners: GameListeners | null = null;
  /** The last change of the block list that the gateway was told. */
  #lastBlock: { player: ListedPlayer; blocked: boolean } | null = null;
  /** The number of the connection on which a pending consent was last told. */
  #consentTold = 0;

  constructor(readonly settings: Settings) {
    this.connection = new Connection({
      connect: () => new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/world`),
      look: () => this.look,
      waiting: this.waiting,
      blocked: () => this.blocked.tags,
      onEvent: (event, about) => this.#event(event, about),
      onPositions: (frame) => this.#positions(frame),
      onState: (state) => this.#link(state),
      onLost: (command) => this.#listeners?.lost(command),
      hasSession: () => hasSession(),
      nowMs: () => performance.now(),
      later: (ms, action) => window.setTimeout(action, ms),
      never: (timer) => window.clearTimeout(timer),
    });
    this.moves = new MoveSender({
      send: (frame) => this.connection.sendFrame(frame),
      nowMs: () => performance.now(),
      later: (ms, action) => void setTimeout(action, ms),
    });
  }

  listen(listeners: GameListeners): void {
    this.#listeners = listeners;
  }

  say(text: string): void {
    this.connection.sendLasting({ t: "say", id: newId(), text });
  }

  whisper(seat: number, text: string): void {
    this.connection.sendLasting({ t: "whisper", id: newId(), to: seat, text });
  }

  ask(bot: BotId, text: string, shared: boolean): void {
    this.connection.sendLasting({ t: "ask", id: newId(), bot, text, shared });
  }

  rate(turn: string, up: boolean): void {
    this.connection.sendLasting({ t: "rate", turn, up });
  }

  teach(turn: string, text: string): void {
    this.connection.sendLasting({ t: "teach", turn, text });
  }

  reportTurn(turn: string, text: string): void {
    this.connection.sendLasting({ t: "report_turn", turn, text });
  }

  /** Report a player or a line. Without a line, a player whose seat is not known any more cannot be reported. */
  reportPlayer(reported: Reported, text: string): void {
    const isLine = "line" in reported;
    const seat = isLine ? reported.seat : this.model.seatOf(reported);
    const command = { t: "report_player", seat: seat ?? reported.seat, text, ...(isLine ? { line: reported.line } : {}) } as const;
    if (seat === undefined) this.#listeners?.lost(command);
    else this.connection.sendLasting(command);
  }

  /** Block a player, or unblock. Without a connection the gateway learns it at the next entry. */
  block(player: ListedPlayer, blocked: boolean): void {
    this.blocked.set(player, blocked);
    if (this.#send({ t: "block", tag: player.tag, blocked })) this.#lastBlock = { player, blocked };
  }

  /** The gateway does not say which change it refuses: it is the last one, which was too fast or one too many. */
  #takeBackBlock(): void {
    if (this.#lastBlock === null) return;
    const { player, blocked } = this.#lastBlock;
    this.#lastBlock = null;
    this.blocked.set(player, !blocked);
    this.#listeners?.blockRefused(player, !blocked);
  }

  /** Return whether nothing that a player says is shown. */
  isQuiet(player: Pick<Player, "tag">): boolean {
    return this.blocked.has(player) || this.muted.has(player);
  }

  /** Ask for the list of rooms. */
  listRooms(): void {
    this.#send({ t: "rooms" });
  }

  /** The page goes away. A player who waits for an answer may come back for it, so its seat is kept for a while. */
  pageHidden(): void {
    if (this.waiting.ids.length === 0) this.#send({ t: "leave" });
  }

  /** Forget all that this browser keeps of its guest. */
  forget(): void {
    for (const kept of [this.blocked, this.muted, this.waiting, this.safety, this.consentWish, this.settings]) kept.forget();
    forgetLook(storageOf("localStorage"));
    this.session.guest = null;
  }

  emote(kind: EmoteKind): void {
    this.#send({ t: "emote", kind });
  }

  /** Wear another look, now and on the next visit. */
  dress(look: Look): void {
    this.chooseLook(look);
    this.#send({ t: "dress", look });
  }

  /** Choose the look to enter with. */
  chooseLook(look: Look): void {
    this.look = look;
    storeLook(storageOf("localStorage"), look);
  }

  travel(portal: number): void {
    this.#send({ t: "travel", portal });
  }

  go(room: number): void {
    this.#send({ t: "go", room });
  }

  /** Change the consent: for this visit through the connection, for later ones in the cookie. */
  async consent(store: boolean, learn: boolean): Promise<void> {
    this.consentWish.set({ store, learn });
    await this.#tellConsent();
  }

  /** Once a connection: the gateway may have come back to the consent of the cookie. */
  #tellConsentAgain(): void {
    const { connects } = this.connection.counters;
    if (this.#consentTold === connects) return;
    this.#consentTold = connects;
    this.#tellConsent().catch(() => undefined); // The next connection tries again.
  }

  async #tellConsent(): Promise<void> {
    const { me } = this.model;
    const choice = this.consentWish.pending;
    if (!me || !choice) return;
    this.connection.sendLasting({ t: "consent", ...choice });
    this.session.guest = await postSession(me.name, { ...choice, minor: me.minor });
    this.consentWish.settled(choice);
  }

  moved(position: Position): void {
    this.moves.offer(position);
    this.model.place(position);
  }

  #send(command: Command): boolean {
    return this.connection.send(command);
  }

  #event(event: WorldEvent, about: readonly Lasting[]): void {
    this.model.follow(event);
    this.askers.follow(event);
    if (event.t === "welcome") this.moves.reset();
    if (event.t === "moved") this.#relocated(event);
    if (event.t === "pong") this.#tellConsentAgain();
    const heard = quieted(event, (seat) => this.#isQuietSeat(seat));
    if (heard) this.bus.emit(heard);
    if (event.t !== "refusal") return;
    if (event.of === "block") this.#takeBackBlock();
    this.#listeners?.refused(event, about);
  }

  #isQuietSeat(seat: number): boolean {
    const player = this.model.players.get(seat);
    return player !== undefined && this.isQuiet(player);
  }

  #relocated({ x, z }: EventOf<"moved">): void {
    this.moves.reset();
    const { avatar } = this.model;
    if (avatar) this.model.place({ ...avatar, x, z });
  }

  #positions(frame: PositionsFrame): void {
    this.moves.acknowledged(frame.acknowledged);
    for (const position of frame.positions) if (position.seat !== this.model.me?.seat) this.model.place(position);
    this.#listeners?.positions(frame);
  }

  #link(state: LinkState): void {
    if (state.is === "offline") this.moves.forgetSent();
    if (state.is === "online") this.moves.resume();
    this.#listeners?.link(state);
  }
}

/** Return whether the gateway still knows this browser's guest. If it does not answer, nothing is known, so yes. */
async function hasSession(): Promise<boolean> {
  try {
    return (await getSession()).guest !== null;
  } catch {
    return true;
  }
}
