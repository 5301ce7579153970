/** Draws single numbers with their names. */

import { h } from "../../ui/dom.ts";
import type { Numbers } from "../apiTypes.ts";
import type { Names } from "../context.ts";
import { turnLink } from "../dom.ts";
import { cell } from "../format.ts";

/** Return the numbers as a list. */
export function numbersView({ numbers }: Numbers, names: Names): HTMLElement {
  const items = numbers.map(({ id, title, kind, value, reason }) => {
    const content = kind === "turn" && typeof value === "string" ? turnLink(value) : names.value(id, cell(value, kind));
    return h("div", { attributes: { "data-number": id } }, h("dt", { text: title }), h("dd", kind === "time" ? { class: "is-time" } : {}, content), reason ? h("dd", { class: "hint" }, reason) : null);
  });
  return h("dl", { class: "numbers" }, ...items);
}
