/** The connection to the gateway: enters, comes back after losses, and loses or repeats nothing on the way. */

import type { Look } from "../scene/api.ts";
import { Backoff } from "./backoff.ts";
import { readPositions, type PositionsFrame } from "./frames.ts";
import { Inbox } from "./inbox.ts";
import { readEvent, VERSION, type Command, type Numbered, type Reason, type WorldEvent } from "./messages.ts";
import { Paces, type Pace } from "./pace.ts";
import { Unconfirmed, type Lasting } from "./unconfirmed.ts";
import { WaitingQuestions } from "./waiting.ts";

export const PING_MS = 15_000;
const DEAD_MS = 40_000;
const GIVE_UP_CHECK_MS = 3_000;
const CLOSED_REPLACED = 4001;
const CLOSED_BANNED = 4403;
const CLOSED_FLOODING = 1008;
/** After this many failures in a row the client asks whether its session is still valid. */
const SUSPICIOUS_FAILURES = 3;
const FLOOD_WAIT_S = 30;
/** Refusals of `enter` that pass by themselves. */
const PASSING: readonly Reason[] = ["busy", "too_fast", "unavailable"];

/** What a socket must do; a WebSocket does it, and the doubles of the tests. */
export type Socket = Pick<WebSocket, "binaryType" | "onopen" | "onmessage" | "onclose" | "send" | "close">;

export type LinkState =
  | { is: "closed" }
  | { is: "connecting" }
  | { is: "online" }
  | { is: "offline" }
  /** The gateway cannot let this player in yet; the client tries again. */
  | { is: "waiting"; reason: Reason; waitS: number }
  /** The same player has connected elsewhere. */
  | { is: "replaced" }
  /** The gateway has closed the connection because of too many messages. */
  | { is: "flooding"; waitS: number }
  /** The gateway does not let this player in. */
  | { is: "refused"; reason: Reason; waitS: number };

export interface ConnectionOptions {
  connect(): Socket;
  look(): Look;
  waiting: WaitingQuestions;
  /** The tags of the players whom this one blocks. */
  blocked(): string[];
  /** @param about the commands that the event confirms or refuses. */
  onEvent(event: WorldEvent, about: readonly Lasting[]): void;
  onPositions(frame: PositionsFrame): void;
  onState(state: LinkState): void;
  /** The gateway should have confirmed this command, but has not. */
  onLost(command: Lasting): void;
  /** Returns whether the gateway still knows this browser's guest. */
  hasSession(): Promise<boolean>;
  nowMs(): number;
  later(ms: number, action: () => void): number;
  never(timer: number): void;
}

export class Connection {
  readonly counters = { sent: 0, sentFrames: 0, received: 0, receivedFrames: 0, repeated: 0, connects: 0 };
  readonly #unconfirmed = new Unconfirmed();
  readonly #backoff = new Backoff();
  readonly #paces = new Paces();
  #inbox = new Inbox();
  #socket: Socket | null = null;
  #state: LinkState = { is: "closed" };
  #room: number | undefined;
  /** Where the events come from that this client has seen. */
  #seen: { seat: number; epoch: string } | null = null;
  #heardMs = 0;
  #timers: number[] = [];
  #retry: number | null = null;

  constructor(private readonly options: ConnectionOptions) {}

  get state(): LinkState {
    return this.#state;
  }

  /** The number of the last event. */
  get last(): number | null {
    return this.#inbox.last;
  }

  /** The number of commands that the gateway has not confirmed. */
  get unconfirmed(): number {
    return this.#unconfirmed.size;
  }

  /** Connect and enter. What the player wrote before being turned away is not sent: it may be another guest now. */
  open(room?: number): void {
    for (const command of this.#unconfirmed.takeAll()) this.options.onLost(command);
    this.#room = room;
    this.#backoff.reset();
    this.#connect();
  }

  /** Leave the world on purpose: the gateway frees the seat at once. Then forget everything about the connection. */
  close(): void {
    this.send({ t: "leave" });
    this.#drop();
    this.#inbox = new Inbox();
    this.#seen = null;
    this.#unconfirmed.takeAll();
    this.#become({ is: "closed" });
  }

  /** Try again at once, for example because the network is back. */
  retryNow(): void {
    if ((this.#state.is === "offline" || this.#state.is === "waiting") && this.#retry !== null) this.#connect();
  }

  /** Lose the connection on purpose, as a bad network does; for tests. */
  breakLink(): void {
    if (this.#socket !== null) this.#closed(0);
  }

  /** Come back after another tab took over, or after a wait. */
  comeBack(): void {
    if (this.#state.is === "replaced" || this.#state.is === "flooding") this.#connect();
  }

  /** Send a command that is lost if there is no connection. Returns whether it was sent. */
  send(command: Command): boolean {
    if (this.#state.is !== "online") return false;
    this.#write(command);
    return true;
  }

  /** Send a command, now or when the connection is back. */
  sendLasting(command: Lasting): void {
    for (const dropped of this.#unconfirmed.add(command)) this.options.onLost(dropped);
    if (this.#state.is === "online" && !this.#paces.of(command)?.isWaiting) this.#writeLasting(command);
  }

  /** Send a movement frame. Returns whether it was sent. */
  sendFrame(frame: ArrayBuffer): boolean {
    if (this.#state.is !== "online" || this.#socket === null) return false;
    this.#socket.send(frame);
    this.counters.sentFrames += 1;
    return true;
  }

  #connect(): void {
    this.#drop();
    if (this.#state.is !== "offline" && this.#state.is !== "waiting") this.#become({ is: "connecting" });
    const socket = this.options.connect();
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#enter();
    socket.onmessage = ({ data }: MessageEvent<unknown>) => this.#receive(data);
    socket.onclose = ({ code }) => this.#closed(code);
  }

  #enter(): void {
    this.counters.connects += 1;
    this.#heardMs = this.options.nowMs();
    this.#inbox.connectionOpened();
    const { last } = this.#inbox;
    this.#write({
      t: "enter",
      v: VERSION,
      look: this.options.look(),
      waiting: this.options.waiting.ids,
      blocked: this.options.blocked(),
      ...(last === null || this.#seen === null ? {} : { last, ...this.#seen }),
      ...(this.#room === undefined ? {} : { room: this.#room }),
    });
    this.#ping(); // Its answer comes after all missed events: then it is clear what must be sent again.
    this.#every(PING_MS, () => this.#ping());
    this.#every(GIVE_UP_CHECK_MS, () => this.#giveUp());
  }

  #receive(data: unknown): void {
    this.#heardMs = this.options.nowMs();
    if (data instanceof ArrayBuffer) {
      this.counters.receivedFrames += 1;
      const frame = readPositions(data);
      if (frame) this.options.onPositions(frame);
    } else if (typeof data === "string") {
      this.counters.received += 1;
      const event = readEvent(data);
      if (event) this.#accept(event);
    }
  }

  #accept(event: Numbered): void {
    if (!this.#inbox.accept(event)) {
      this.counters.repeated += 1;
      return;
    }
    if (event.t === "refusal" && event.of === "enter") {
      this.#refused(event.reason, event.wait_s);
      return;
    }
    if (this.#state.is !== "online") this.#entered();
    if (event.t === "welcome") {
      this.#room = event.room;
      this.#seen = { seat: event.you, epoch: event.epoch };
      for (const command of this.#unconfirmed.takeSeatBound()) this.options.onLost(command);
    }
    const about = this.#unconfirmed.follow(event);
    const question = this.options.waiting.follow(event);
    this.options.onEvent(event.t === "answered" && question ? { ...event, question: question.text } : event, about);
    if (event.t === "pong") this.#sendUnsent();
  }

  #entered(): void {
    this.#backoff.reset();
    this.#become({ is: "online" });
  }

  #refused(reason: Reason, waitS: number): void {
    this.#drop();
    if (PASSING.includes(reason)) {
      if (this.#state.is !== "offline") this.#become({ is: "waiting", reason, waitS });
      this.#retryIn(waitS * 1000 + this.#backoff.nextMs());
    } else if (reason === "room_full" && this.#state.is === "offline" && this.#room !== undefined) {
      this.#room = undefined;
      this.#retryIn(this.#backoff.nextMs());
    } else {
      this.#become({ is: "refused", reason, waitS });
    }
  }

  #closed(code: number): void {
    this.#drop();
    if (code === CLOSED_REPLACED) {
      this.#become({ is: "replaced" });
    } else if (code === CLOSED_BANNED) {
      this.#become({ is: "refused", reason: "banned", waitS: 0 });
    } else if (code === CLOSED_FLOODING) {
      this.#become({ is: "flooding", waitS: FLOOD_WAIT_S });
    } else {
      this.#become({ is: "offline" });
      this.#retryIn(this.#backoff.nextMs());
      if (this.#backoff.failures === SUSPICIOUS_FAILURES) void this.#checkSession();
    }
  }

  async #checkSession(): Promise<void> {
    if ((await this.options.hasSession()) || this.#state.is !== "offline") return;
    this.#drop();
    this.#become({ is: "refused", reason: "session", waitS: 0 });
  }

  #retryIn(ms: number): void {
    this.#retry = this.options.later(ms, () => this.#connect());
  }

  #ping(): void {
    if (this.options.nowMs() - this.#heardMs > DEAD_MS) {
      this.#closed(0); // The network is gone without a word; the browser would notice much later.
      return;
    }
    this.#write({ t: "ping", at: Math.round(this.options.nowMs()) });
  }

  #giveUp(): void {
    for (const command of this.#unconfirmed.giveUp(this.counters.connects, this.options.nowMs())) {
      this.options.onLost(command);
    }
  }

  /** Send what this connection has not sent yet, in order; of what has a pace, only as much as may go now. */
  #sendUnsent(): void {
    for (const command of this.#unconfirmed.unsent(this.counters.connects)) {
      const pace = this.#paces.of(command);
      if (pace?.isWaiting) continue;
      const waitMs = pace?.waitMs(this.options.nowMs()) ?? 0;
      if (pace && waitMs > 0) this.#sendUnsentIn(waitMs, pace);
      else this.#writeLasting(command);
    }
  }

  #sendUnsentIn(ms: number, pace: Pace): void {
    pace.isWaiting = true;
    const action = (): void => {
      pace.isWaiting = false;
      this.#sendUnsent();
    };
    this.#timers.push(this.options.later(ms, action));
  }

  #writeLasting(command: Lasting): void {
    this.#write(command);
    const nowMs = this.options.nowMs();
    this.#unconfirmed.sent(command, this.counters.connects, nowMs);
    this.#paces.of(command)?.sent(nowMs);
  }

  #write(command: Command): void {
    if (this.#socket === null) return;
    this.#socket.send(JSON.stringify(command));
    this.counters.sent += 1;
  }

  #every(ms: number, action: () => void): void {
    const index = this.#timers.length;
    const again = (): void => {
      this.#timers[index] = this.options.later(ms, again);
      action();
    };
    this.#timers.push(this.options.later(ms, again));
  }

  #drop(): void {
    for (const timer of this.#timers) this.options.never(timer);
    if (this.#retry !== null) this.options.never(this.#retry);
    this.#timers = [];
    this.#paces.stop();
    this.#retry = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #become(state: LinkState): void {
    if (this.#state.is === state.is) return;
    this.#state = state;
    this.options.onState(state);
  }
}
