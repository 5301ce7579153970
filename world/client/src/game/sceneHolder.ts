/** Loads the 3D scene when the page is ready for it, and keeps it in step with the model. All of it may be missing. */

import { language } from "../i18n/language.ts";
import { localize } from "../i18n/localize.ts";
import { BOT_IDS, type BotId, type EventOf } from "../net/messages.ts";
import type { PositionsFrame } from "../net/frames.ts";
import type { CreateScene, EmoteKind, Look, Memory, SceneEvents, WorldScene } from "../scene/api.ts";
import type { Game } from "./game.ts";
import { LatestLoad } from "./latestLoad.ts";

/** `failed`: it could not be created; `lost`: the device took the drawing away. */
export type SceneState = "unloaded" | "loading" | "ready" | "failed" | "lost";

const CONTEXT_WAIT_MS = 2_000;

export class SceneHolder {
  /** What scenes that are gone have left on the graphics card: nothing. */
  readonly leftover: Memory = { geometries: 0, textures: 0 };
  #scene: WorldScene | null = null;
  #state: SceneState = "unloaded";
  /** Whether the quality is being set for the scene that is about to be created. */
  #isChoosing = false;
  readonly #loads = new LatestLoad<WorldScene>();
  /** The last line that each player has said, as long as it may be shown in a bubble. */
  readonly #lineBySeat = new Map<number, string>();
  readonly #listeners = new Set<(state: SceneState) => void>();

  constructor(
    private readonly game: Game,
    private readonly stage: HTMLElement,
    private readonly events: SceneEvents,
  ) {
    game.bus.on({
      welcome: () => this.#place(),
      joined: ({ player }) => this.#scene?.addPlayer(player),
      left: ({ seat }) => this.#left(seat),
      dressed: ({ seat, look }) => this.#scene?.dress(seat, look),
      said: (event) => this.#said(event),
      hidden: ({ line }) => this.#hidden(line),
      emoted: ({ seat, kind }) => this.emote(seat, kind),
      answered: (event) => this.#answered(event),
      staged: ({ bot }) => this.#scene?.botStage(bot),
      moved: ({ x, z }) => this.#scene?.teleport(x, z),
    });
    game.askers.onChange((bot, seat, thinking) => this.#thinking(bot, seat, thinking));
    for (const list of [game.blocked, game.muted]) list.onChange(() => this.#hush());
    game.settings.onChange((name) => {
      if (name === "evening") this.#scene?.timeOfDay(game.settings.get("evening"));
      // What was built for another quality stays as coarse or as costly as it is, so all is built anew.
      if (name === "language" || name === "reducedMotion" || name === "quality") void this.#createAgain();
    });
  }

  get state(): SceneState {
    return this.#state;
  }

  get scene(): WorldScene | null {
    return this.#scene;
  }

  onState(listener: (state: SceneState) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Load and create the scene, if that has not been tried. It is a chunk of its own; without it the list view still works.
   * Who has no graphics card begins with the low quality, unless they chose another.
   */
  async load(): Promise<void> {
    if (this.#state !== "unloaded") return;
    this.#become("loading");
    try {
      const scene = await this.#loads.load(
        () => import("../scene/index.ts"),
        ({ createScene, drawsInSoftware }) => {
          this.#chooseQuality(drawsInSoftware);
          return createScene(this.#options());
        },
      );
      if (scene === null) return;
      this.#scene = scene;
      scene.timeOfDay(this.game.settings.get("evening"));
      this.#become("ready");
      if (this.game.model.me) this.#place();
    } catch (error) {
      console.warn("The 3D scene is not available.", error);
      this.#become("failed");
    }
  }

  /** Stop drawing, for the list view and at the door. */
  unload(): void {
    this.#dispose();
    if (this.#state === "loading" || this.#state === "ready") this.#become("unloaded");
  }

  /** The player wants to try again after a failure. */
  forgetFailure(): void {
    if (this.#state === "failed" || this.#state === "lost") this.#state = "unloaded";
  }

  positions(frame: PositionsFrame): void {
    const own = this.game.model.me?.seat;
    this.#scene?.positions(frame.positions.filter(({ seat }) => seat !== own));
  }

  emote(seat: number, kind: EmoteKind): void {
    this.#scene?.emote(seat, kind);
  }

  preview(canvas: HTMLCanvasElement, look: Look): boolean {
    this.#scene?.preview(canvas, look);
    return this.#scene !== null;
  }

  inputEnabled(enabled: boolean): void {
    this.#scene?.inputEnabled(enabled);
  }

  focus(): void {
    this.#scene?.focus();
  }

  #place(): void {
    const { avatar, players, bots } = this.game.model;
    if (!this.#scene || !avatar) return;
    this.#scene.clearPlayers();
    this.#scene.enter(avatar);
    for (const player of players.values()) this.#scene.addPlayer(player);
    for (const bot of bots.values()) this.#scene.botStage(bot);
    for (const bot of BOT_IDS) for (const { seat } of this.game.askers.of(bot)) this.#scene.botThinking(bot, seat);
  }

  #left(seat: number): void {
    this.#lineBySeat.delete(seat);
    this.#scene?.removePlayer(seat);
  }

  #said({ seat, line, text }: EventOf<"said">): void {
    this.#lineBySeat.set(seat, line);
    this.#scene?.say(seat, text);
  }

  /** Moderators have hidden a line: its bubble goes too. */
  #hidden(line: string): void {
    for (const [seat, last] of this.#lineBySeat) if (last === line) this.#scene?.clearBubble(seat);
  }

  /** The player does not want to hear somebody any more. */
  #hush(): void {
    for (const player of this.game.model.players.values()) if (this.game.isQuiet(player)) this.#scene?.clearBubble(player.seat);
  }

  #thinking(bot: BotId, seat: number, thinking: boolean): void {
    if (thinking) this.#scene?.botThinking(bot, seat);
    else this.#scene?.botAnswered(bot, seat);
  }

  #answered(event: EventOf<"answered">): void {
    if (event.text !== "" && event.source !== "safety") this.#scene?.botSay(event.bot, event.text, event.name);
  }

  #chooseQuality(drawsInSoftware: () => boolean): void {
    const { settings } = this.game;
    if (!settings.get("autoQuality") || settings.get("quality") === "low" || !drawsInSoftware()) return;
    this.#isChoosing = true;
    settings.set("quality", "low");
    this.#isChoosing = false;
  }

  #dispose(): void {
    this.#loads.stop();
    const left = this.#scene?.dispose();
    this.leftover.geometries += left?.geometries ?? 0;
    this.leftover.textures += left?.textures ?? 0;
    this.#scene = null;
  }

  /** A device may take the drawing away, for example because it ran out of memory. Often it comes back at once. */
  #lose(canvas: HTMLCanvasElement): void {
    setTimeout(() => canvas.getContext("webgl2")?.isContextLost() && this.#lost(canvas), CONTEXT_WAIT_MS);
  }

  #lost(canvas: HTMLCanvasElement): void {
    if (!canvas.isConnected) return; // The scene of an old canvas is gone already.
    this.#dispose();
    this.stage.replaceChildren();
    this.#become("lost");
  }

  async #createAgain(): Promise<void> {
    if (this.#isChoosing || (this.#state !== "ready" && this.#state !== "loading")) return;
    this.unload();
    await this.load();
  }

  /** A canvas whose context was given up cannot be used again, so each scene gets a new one. */
  #options(): Parameters<CreateScene>[0] {
    const canvas = document.createElement("canvas");
    canvas.className = "world-canvas";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    localize(canvas, "scene.label", "aria-label");
    const labels = document.createElement("div");
    labels.className = "world-labels";
    this.stage.replaceChildren(canvas, labels);
    const { settings } = this.game;
    return {
      canvas,
      labels,
      quality: settings.get("quality"),
      reducedMotion: settings.get("reducedMotion"),
      language: language(),
      events: this.events,
      hideNames: new URLSearchParams(location.search).has("nameless"),
      onLost: () => this.#lose(canvas),
    };
  }

  #become(state: SceneState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
