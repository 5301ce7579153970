/** Lowers the picture quality on devices that cannot keep up, unless the player has chosen it. */

import type { Quality } from "../scene/api.ts";
import type { Settings } from "../model/settings.ts";
import type { SceneHolder } from "./sceneHolder.ts";

const CHECK_MS = 4_000;
const LEAST_FPS = 22;
/** One slow moment is not enough: the world is still being built, or the machine was busy. */
const SLOW_CHECKS = 3;
const LOWER: Readonly<Record<Quality, Quality | null>> = { high: "medium", medium: "low", low: null };

/** Watch the frame rate. */
export function guardQuality(settings: Settings, scene: SceneHolder): void {
  let slowChecks = 0;
  setInterval(() => {
    const fps = scene.scene?.stats().fps ?? null;
    const isSlow = fps !== null && fps > 0 && fps < LEAST_FPS && document.visibilityState === "visible";
    slowChecks = isSlow ? slowChecks + 1 : 0;
    const lower = LOWER[settings.get("quality")];
    if (slowChecks < SLOW_CHECKS || lower === null || !settings.get("autoQuality")) return;
    slowChecks = 0;
    settings.set("quality", lower);
  }, CHECK_MS);
}
