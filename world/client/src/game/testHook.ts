/** What end-to-end tests may look at, as `window.__world`. */

import type { SceneStats } from "../scene/api.ts";
import type { WorldPage } from "../ui/worldPage.ts";
import type { Game } from "./game.ts";

export interface TestHook {
  state(): object;
  scene(): SceneStats | null;
  counters(): object;
  /** Say where the player is, as the scene does. */
  move(x: number, z: number, yaw?: number): void;
  /** Lose the connection, as a bad network does. */
  disconnect(): void;
}

declare global {
  interface Window {
    __world?: TestHook;
  }
}

/** Install the hook. */
export function installTestHook(game: Game, page: WorldPage): void {
  const { model, connection, moves } = game;
  window.__world = {
    state: () => ({
      link: connection.state.is,
      last: connection.last,
      me: model.me,
      at: model.avatar,
      room: model.room,
      players: [...model.players.values()],
      bots: [...model.bots.values()],
      rooms: model.rooms,
      waiting: game.waiting.ids,
      scene: page.scene.state,
      leftover: page.scene.leftover,
    }),
    scene: () => page.scene.scene?.stats() ?? null,
    counters: () => ({
      ...connection.counters,
      unconfirmed: connection.unconfirmed,
      echoP50Ms: moves.echoMs(0.5),
      echoP95Ms: moves.echoMs(0.95),
    }),
    move: (x, z, yaw = 0) => game.moved({ seat: model.me?.seat ?? 0, x, z, height: 0, yaw, gait: 0 }),
    disconnect: () => connection.breakLink(),
  };
}
