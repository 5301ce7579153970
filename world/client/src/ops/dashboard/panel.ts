/** One panel: its title and note, and what it shows now: nothing yet, nothing at all, a failure, or its numbers. */

import { localize } from "../../i18n/localize.ts";
import { button, freeId, h } from "../../ui/dom.ts";
import { isAbort, type Query } from "../api.ts";
import { isCharted, isEmpty, isNumbers, isTabled, type Charted, type Key, type PanelData, type PanelInfo, type Tabled } from "../apiTypes.ts";
import { arranged, intervalsOf } from "../chart/series.ts";
import type { OpsContext } from "../context.ts";
import { failureWording, opsIcon } from "../dom.ts";
import { queryOf, type Ends } from "../ranges.ts";
import { ChartView } from "./chartView.ts";
import { numbersView } from "./numbersView.ts";
import { chartTable, tableView } from "./tableView.ts";

export class Panel {
  readonly element: HTMLElement;
  readonly #body = h("div", { class: "panel-body" });
  readonly #problem = h("div", { class: "panel-problem", attributes: { role: "status" } });
  readonly #asTable: HTMLButtonElement;
  readonly #chart: ChartView;
  #data: PanelData | null = null;
  #asked: { ends: Ends; bot: string } | null = null;
  #isTable = false;
  #request: AbortController | null = null;

  constructor(
    readonly info: PanelInfo,
    private readonly context: OpsContext,
  ) {
    const id = freeId("panel");
    this.#asTable = button({ class: "as-table", onClick: () => this.#toggleTable() }, opsIcon("table"), h("span", { text: "ops.asTable" }));
    this.#asTable.hidden = info.chart !== "lines" && info.chart !== "bars";
    const isWhole = info.drill && info.chart === "numbers";
    const turns = isWhole ? button({ class: "as-table", text: "ops.turns", onClick: () => this.#openAll() }) : null;
    this.#asTable.setAttribute("aria-pressed", "false");
    this.#chart = new ChartView(info, context.names, info.drill ? (index, series) => this.#openPoint(index, series) : null);
    this.element = h(
      "section",
      { class: info.wide ? "panel wide" : "panel", attributes: { "aria-labelledby": id, "data-panel": info.id } },
      h("header", {}, h("h2", { id, text: info.title }), this.#asTable, turns),
      h("p", { class: "hint note", text: info.note }),
      this.#problem,
      this.#body,
    );
    this.#say("ops.loading");
  }

  /** Load the numbers of a time. What is shown stays until they are there. */
  async load(ends: Ends, bot: string): Promise<void> {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    this.element.setAttribute("aria-busy", "true");
    try {
      const data = await this.context.api.panel(this.info.id, queryOf(ends, bot), request.signal);
      if (request.signal.aborted) return;
      this.#data = isCharted(data) ? { ...data, ...arranged(data, this.context.names.ids) } : data;
      this.#asked = { ends, bot };
      this.#problem.replaceChildren();
      this.redraw();
    } catch (error) {
      if (isAbort(error) || request.signal.aborted) return;
      this.#failed(error, () => void this.load(ends, bot));
    }
    this.element.removeAttribute("aria-busy");
  }

  /** Draw again, in the language and the theme of now. */
  redraw(): void {
    if (!this.#data || !this.#asked) return;
    const { ends } = this.#asked;
    if (isEmpty(this.#data)) this.#say("ops.empty");
    else if (isCharted(this.#data)) this.#drawChart(this.#data, ends);
    else if (isTabled(this.#data)) this.#drawTable(this.#data);
    else if (isNumbers(this.#data)) this.#body.replaceChildren(numbersView(this.#data, this.context.names));
  }

  /** End for good. */
  dispose(): void {
    this.#request?.abort();
    this.#chart.dispose();
  }

  /** For tests: where a value is drawn, in pixels of the window. */
  placeOf(series: number, index: number): [number, number] | null {
    return this.#chart.placeOf(series, index);
  }

  #drawChart(data: Charted, ends: Ends): void {
    if (this.#isTable) {
      const about = { title: this.info.title, unit: this.info.unit, ends, names: this.context.names };
      this.#body.replaceChildren(chartTable(about, data, this.info.drill ? (index, series) => this.#openPoint(index, series) : null));
      return;
    }
    if (!this.#body.contains(this.#chart.element)) this.#body.replaceChildren(this.#chart.element);
    this.#chart.show(data, ends).catch((error: unknown) => this.#failed(error, () => this.redraw()));
  }

  #drawTable(data: Tabled): void {
    const hasTurns = data.columns.some(({ kind }) => kind === "turn");
    const open = this.info.drill && data.keys && !hasTurns ? (row: number) => this.#openRow(data, row) : null;
    this.#body.replaceChildren(tableView(this.info.title, data, this.context.names, open));
  }

  #toggleTable(): void {
    this.#isTable = !this.#isTable;
    this.#asTable.setAttribute("aria-pressed", String(this.#isTable));
    this.redraw();
  }

  #openPoint(index: number, series: number | null): void {
    if (!this.#data || !isCharted(this.#data) || !this.#asked) return;
    const { data, ends } = { data: this.#data, ends: this.#asked.ends };
    const [from, to] = intervalsOf(data.times, ends)[index] ?? [ends.from.getTime(), ends.to.getTime()];
    const key = series === null ? {} : (data.series[series]?.key ?? {});
    this.#drill({ from: new Date(from), to: new Date(to) }, key);
  }

  #openAll(): void {
    if (this.#asked) this.#drill(this.#asked.ends, {});
  }

  #openRow(data: Tabled, row: number): void {
    if (this.#asked) this.#drill(this.#asked.ends, data.keys?.[row] ?? {});
  }

  #drill(ends: Ends, key: Key): void {
    const query: Query = { ...queryOf(ends, this.#asked?.bot ?? ""), ...filterOf(key) };
    this.context.drill(this.info.title, query);
  }

  #say(wording: "ops.loading" | "ops.empty"): void {
    const found = h("p", { class: "panel-state", text: wording });
    this.#body.replaceChildren(found);
  }

  #failed(error: unknown, retry: () => void): void {
    const again = button({ text: "ops.retry", onClick: retry });
    const line = h("p", { class: "problem" });
    localize(line, failureWording(error));
    this.#problem.replaceChildren(line, again);
    if (!this.#data) this.#body.replaceChildren();
  }
}

/** Return a key as the fields of a query. */
function filterOf(key: Key): Query {
  return Object.fromEntries(Object.entries(key).map(([field, value]) => [field, String(value)]));
}
