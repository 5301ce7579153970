/** The values of one interval, beside the pointer. */

import { button, h } from "../../ui/dom.ts";

export interface TipContent {
  index: number;
  /** Where the pointer is, in pixels of the chart. */
  x: number;
  title: string;
  lines: { name: string; value: string; color: string }[];
  withButton: boolean;
}

const GAP_PX = 14;

export class Tip {
  readonly element = h("div", { class: "tip" });

  constructor(
    private readonly box: HTMLElement,
    private readonly open: (index: number) => void,
  ) {
    this.hide();
  }

  show({ index, x, title, lines, withButton }: TipContent): void {
    const items = lines.map(({ name, value, color }) => {
      const swatch = h("span", { class: "swatch" });
      if (color === "") swatch.dataset.none = "";
      swatch.style.background = color;
      return h("li", {}, swatch, h("span", {}, name), h("b", {}, value));
    });
    this.element.replaceChildren(h("p", {}, title), h("ul", {}, ...items));
    if (withButton) this.element.append(button({ text: "ops.turns", onClick: () => this.open(index) }));
    this.element.classList.toggle("pressable", withButton);
    this.element.hidden = false;
    const isLeft = x > this.box.clientWidth / 2;
    const left = isLeft ? x - this.element.offsetWidth - GAP_PX : x + GAP_PX;
    this.element.style.left = `${Math.max(0, Math.min(left, this.box.clientWidth - this.element.offsetWidth))}px`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
