/** Building blocks of a turn's page. */

import type { Wording } from "../../i18n/localize.ts";
import { freeId, h, type Child } from "../../ui/dom.ts";
import { scroller } from "../dom.ts";

/** Return a part of the page with its title. */
export function part(name: string, title: Wording, ...children: Child[]): HTMLElement {
  const id = freeId("part");
  const attributes = { "aria-labelledby": id, "data-part": name };
  return h("section", { class: "panel part", attributes }, h("header", {}, h("h2", { id, text: title })), ...children);
}

/** Return names with values; those without a value are left out. */
export function facts(...pairs: [Wording, Child | undefined][]): HTMLElement {
  const items = pairs.flatMap(([name, value]) => {
    if (value === null || value === undefined || value === "") return [];
    return [h("div", {}, h("dt", { text: name }), h("dd", {}, value))];
  });
  return h("dl", { class: "facts" }, ...items);
}

/** Return a sign with a text, green, red or neither. */
export function badge(text: Child, look: "good" | "bad" | "plain" = "plain"): HTMLElement {
  return h("span", { class: `badge ${look}` }, text);
}

/** Return a table whose cells are given. @param numbers the columns with numbers. */
export function plainTable(label: Wording, heads: Wording[], rows: Child[][], numbers: readonly number[] = []): HTMLElement {
  const kind = (index: number): string => (numbers.includes(index) ? "is-number" : "is-text");
  const head = h("tr", {}, ...heads.map((text, index) => h("th", { class: kind(index), text, attributes: { scope: "col" } })));
  const body = rows.map((row) => h("tr", {}, ...row.map((cell, index) => h("td", { class: kind(index) }, cell))));
  return scroller(label, h("table", {}, h("thead", {}, head), h("tbody", {}, ...body)));
}
