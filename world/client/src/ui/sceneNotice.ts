/** Says why there is a list instead of the 3D world, and offers to try 3D again. */

import type { SceneState } from "../game/sceneHolder.ts";
import { localize } from "../i18n/localize.ts";
import { button, h } from "./dom.ts";

export class SceneNotice {
  readonly element: HTMLElement;
  readonly #why = h("p", { attributes: { role: "status" } });

  constructor(retry: () => void) {
    this.element = h("div", { class: "scene-notice" }, this.#why, button({ text: "scene.retry", onClick: retry }));
    this.element.hidden = true;
  }

  /** Show why there is no 3D world; nothing if there may be one. */
  show(state: SceneState): void {
    const isMissing = state === "failed" || state === "lost";
    this.element.hidden = !isMissing;
    if (isMissing) localize(this.#why, `scene.${state}`);
    else this.#why.replaceChildren();
  }
}
