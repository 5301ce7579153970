/** The choice of the avatar's looks, with a preview. */

import { localize, type Wording } from "../i18n/localize.ts";
import { LOOK_PARTS, randomLook, stepped, type LookPart } from "../model/looks.ts";
import type { Look } from "../scene/api.ts";
import type { TextKey } from "../i18n/ko.ts";
import { button, h } from "./dom.ts";
import { figure, partColors } from "./figure.ts";
import { icon } from "./icons.ts";

const PREVIEW_PX = { width: 320, height: 400 };

export class LookPicker {
  readonly element: HTMLElement;
  readonly #preview = h("div", { class: "preview", label: "door.preview", attributes: { role: "img" } });
  readonly #rows = new Map<LookPart, HTMLElement>();
  #look: Look;

  /**
   * @param draw draws the look in a canvas; returns false if there is no 3D scene, and a flat portrait is shown instead.
   */
  constructor(
    initial: Look,
    private readonly draw: (canvas: HTMLCanvasElement, look: Look) => boolean,
    private readonly onChange: (look: Look) => void,
  ) {
    this.#look = initial;
    const random = button({ class: "random", onClick: () => this.#choose(randomLook()) }, icon("dice"), h("span", { text: "door.random" }));
    const parts = h("div", { class: "parts" });
    for (const part of LOOK_PARTS) parts.append(this.#row(part));
    this.element = h(
      "fieldset",
      { class: "looks" },
      h("legend", { text: "door.looks" }),
      h("div", { class: "looks-grid" }, h("div", { class: "preview-side" }, this.#preview, random), parts),
    );
    this.refresh();
  }

  get look(): Look {
    return this.#look;
  }

  /** Draw the preview again, for example because the scene is ready now. */
  refresh(): void {
    const canvas = h("canvas", { attributes: { width: String(PREVIEW_PX.width), height: String(PREVIEW_PX.height) } });
    this.#preview.replaceChildren(this.draw(canvas, this.#look) ? canvas : figure(this.#look));
    this.#showRows();
  }

  #choose(look: Look): void {
    this.#look = look;
    this.onChange(look);
    this.refresh();
  }

  #row(part: LookPart): HTMLElement {
    const value = h("span", { class: "part-value" });
    this.#rows.set(part, value);
    const step = (by: 1 | -1) => (): void => this.#choose(stepped(this.#look, part, by));
    const keys = { part: `part.${part}` } as const;
    return h(
      "div",
      { class: "part", label: `part.${part}`, attributes: { role: "group" } },
      h("span", { class: "part-name", text: `part.${part}` }),
      button({ class: "small-icon", label: { key: "part.previous", keys }, onClick: step(-1) }, icon("left")),
      value,
      button({ class: "small-icon", label: { key: "part.next", keys }, onClick: step(1) }, icon("right")),
    );
  }

  #showRows(): void {
    for (const [part, value] of this.#rows) {
      const number = this.#look[part];
      const color = partColors(part)[number];
      const swatch = h("span", { class: "swatch" });
      if (color) swatch.style.backgroundColor = color;
      const name = h("span", { class: color ? "unseen" : "choice" });
      localize(name, choiceName(part, number));
      value.replaceChildren(...(color ? [swatch] : []), name);
    }
  }
}

const HAIR: readonly TextKey[] = ["hair.0", "hair.1", "hair.2", "hair.3", "hair.4", "hair.5"];
const HATS: readonly TextKey[] = ["hat.0", "hat.1", "hat.2", "hat.3", "hat.4", "hat.5"];

/** Styles have names; colours are counted. */
function choiceName(part: LookPart, number: number): Wording {
  const named = part === "hair" ? HAIR[number] : part === "hat" ? HATS[number] : undefined;
  return named ?? { key: "part.number", params: { number: number + 1 }, keys: { part: `part.${part}` } };
}
