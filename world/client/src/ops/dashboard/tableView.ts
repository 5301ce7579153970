/** Draws tables: rows of the gateway, and the numbers of a chart for those who do not see it. */

import type { InBoth, Wording } from "../../i18n/localize.ts";
import { button, h, type Child } from "../../ui/dom.ts";
import type { Cell, Charted, Column, Tabled } from "../apiTypes.ts";
import { intervalsOf } from "../chart/series.ts";
import type { Names } from "../context.ts";
import { conversationLink, scroller, turnLink } from "../dom.ts";
import { cell, interval, quantity } from "../format.ts";
import type { Ends } from "../ranges.ts";

/** From how many characters on a text needs a wide column. */
const LONG_CHARS = 16;

/** Return a table with a row for each of the gateway's. @param open opens the turns behind a row; null without. */
export function tableView(title: InBoth, data: Tabled, names: Names, open: ((row: number) => void) | null): HTMLElement {
  const heads = data.columns.map((column) => h("th", { class: kindClass(column), text: column.title, attributes: { scope: "col" } }));
  const withConversations = linksToConversations(data);
  if (withConversations) heads.push(h("th", { class: "is-turn", attributes: { scope: "col" } }, h("span", { class: "unseen", text: "ops.conversation" })));
  if (open) heads.push(h("th", { attributes: { scope: "col" } }, h("span", { class: "unseen", text: "ops.turns" })));
  const shares = data.columns.findIndex(({ kind }) => kind === "share");
  const isLong = data.columns.map((_, at) => data.rows.some((row) => String(row[at] ?? "").length > LONG_CHARS));
  const rows = data.rows.map((row, index) => {
    const cells = data.columns.map((column, at) => h("td", { class: `${kindClass(column)}${isLong[at] ? " is-long" : ""}` }, at === shares ? shareBar(row, at, data.columns) : shown(row[at] ?? null, column, names)));
    if (withConversations) cells.push(h("td", { class: "is-turn" }, toConversation(row, index, data)));
    if (open) cells.push(h("td", { class: "opener" }, opener(row, index, data, names, open)));
    return h("tr", {}, ...cells);
  });
  return scroller(title, table(heads, rows));
}

/** Return the numbers of a chart, the newest interval first. */
export function chartTable(
  { title, unit, ends, names }: { title: InBoth; unit: string; ends: Ends; names: Names },
  data: Charted,
  open: ((index: number, series: number) => void) | null,
): HTMLElement {
  const heads = [h("th", { text: "ops.time", attributes: { scope: "col" } })];
  for (const one of data.series) heads.push(h("th", { class: "is-number", attributes: { scope: "col" } }, names.series(one)));
  const rows = intervalsOf(data.times, ends).map(([from, to], index) => {
    const time = interval(new Date(from), new Date(to));
    const cells = data.series.map((one, series) => {
      const value = one.values[index] ?? null;
      const text = value === null ? cell(null, unit) : quantity(value, unit);
      const label: Wording = { key: "ops.turns.of", params: { what: `${names.series(one)}, ${time}, ${text}` } };
      const content = open && value ? button({ class: "number-button", label, onClick: () => open(index, series) }, text) : text;
      return h("td", { class: "is-number" }, content);
    });
    return h("tr", {}, h("th", { attributes: { scope: "row" } }, time), ...cells);
  });
  return scroller(title, table(heads, rows.reverse()));
}

function table(heads: HTMLElement[], rows: HTMLElement[]): HTMLElement {
  return h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}

function shown(value: Cell, { id, kind }: Column, names: Names): Child {
  if (kind === "turn" && typeof value === "string") return turnLink(value);
  const text = cell(value, kind);
  return typeof value === "string" && kind === "text" ? names.value(id, text) : text;
}

/** The first share of a row, with a bar of its length; a mark on it goes from one bound of the share to the other. */
function shareBar(row: Cell[], at: number, columns: Column[]): Child {
  const [value, low, high] = ["", "-low", "-high"].map((end) => row[columns.findIndex(({ id }) => id === `${columns[at]?.id}${end}`)] ?? null);
  if (typeof value !== "number") return cell(value ?? null, "share");
  const bar = h("span", { class: "share-bar", attributes: { "aria-hidden": "true" } }, piece("value", 0, value));
  if (typeof low === "number" && typeof high === "number") bar.append(piece("bounds", low, high));
  return h("span", { class: "share" }, bar, cell(value, "share"));
}

function piece(name: string, from: number, to: number): HTMLElement {
  const percent = (share: number): number => Math.min(1, Math.max(0, share)) * 100;
  const found = h("span", { class: name });
  found.style.left = `${percent(from)}%`;
  found.style.width = `${percent(to) - percent(from)}%`;
  return found;
}

function opener(row: Cell[], index: number, { columns }: Tabled, names: Names, open: (row: number) => void): HTMLElement {
  const first = columns.findIndex(({ kind }) => kind === "text");
  const what = names.value(columns[first]?.id ?? "", cell(row[first] ?? null, "text"));
  return button({ class: "row-button", text: "ops.turns", label: { key: "ops.turns.of", params: { what } }, onClick: () => open(index) });
}

/** Whether rows are single turns whose conversations are known. */
function linksToConversations({ columns, keys }: Tabled): boolean {
  return columns.some(({ kind }) => kind === "turn") && (keys ?? []).some((key) => "conversation" in key);
}

function toConversation(row: Cell[], index: number, { columns, keys }: Tabled): Child {
  const valueOf = (kind: Column["kind"]): string => String(row[columns.findIndex((column) => column.kind === kind)] ?? "");
  const conversation = keys?.[index]?.["conversation"];
  return conversation === undefined ? null : conversationLink(String(conversation), valueOf("time"), valueOf("turn"));
}

function kindClass({ kind }: Column): string {
  if (kind === "number" || kind === "share" || kind === "ms") return "is-number";
  return `is-${kind === "time" || kind === "turn" ? kind : "text"}`;
}
