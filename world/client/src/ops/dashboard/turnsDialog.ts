/** The list of the single turns behind a number. */

import { language, onLanguage } from "../../i18n/language.ts";
import type { InBoth, Wording } from "../../i18n/localize.ts";
import { openDialog } from "../../ui/dialog.ts";
import { button, h } from "../../ui/dom.ts";
import { isAbort, type OpsApi, type Query } from "../api.ts";
import type { Names } from "../context.ts";
import { failureWording } from "../dom.ts";
import { interval } from "../format.ts";
import { tableView } from "./tableView.ts";

const MOST_TURNS = 100;

/** Open the list. */
export function turnsDialog(api: OpsApi, names: Names, title: InBoth, query: Query): void {
  const filters = h("p", { class: "chips" }, ...chipsOf(names, query).map((chip) => h("span", { class: "chip" }, chip)));
  const body = h("div", { class: "turns-body", attributes: { "aria-live": "polite" } });
  const request = new AbortController();
  const heading: Wording = { key: "ops.turns.title", params: { title: title[language()] } };
  openDialog(heading, [filters, body], { class: "turns", onClose: () => request.abort() });

  async function load(): Promise<void> {
    body.replaceChildren(h("p", { class: "panel-state", text: "ops.loading" }));
    try {
      const found = await api.turns({ ...query, limit: String(MOST_TURNS) }, request.signal);
      const show = (): void => {
        if (found.rows.length === 0) body.replaceChildren(h("p", { class: "panel-state", text: "ops.turns.none" }));
        else body.replaceChildren(tableView(title, found, names, null));
        if (found.rows.length >= MOST_TURNS) body.append(h("p", { class: "hint", text: { key: "ops.turns.most", params: { count: MOST_TURNS } } }));
      };
      show();
      onLanguage(() => body.isConnected && show());
    } catch (error) {
      if (isAbort(error)) return;
      body.replaceChildren(h("p", { class: "problem", text: failureWording(error) }), button({ text: "ops.retry", onClick: () => void load() }));
    }
  }
  void load();
}

/** Say what the list is narrowed to. */
function chipsOf(names: Names, { from, to, ...rest }: Query): string[] {
  const time = from && to ? [interval(new Date(from), new Date(to))] : [];
  return [...time, ...Object.entries(rest).map(([field, value]) => (field === "version" ? `v${value}` : names.value(field, value)))];
}
