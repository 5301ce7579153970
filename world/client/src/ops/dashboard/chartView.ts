/** A chart with what belongs to it: a legend of buttons, the values under the pointer, and the new versions in words. */

import { language, text } from "../../i18n/language.ts";
import { button, h } from "../../ui/dom.ts";
import type { Charted, Marker, PanelInfo } from "../apiTypes.ts";
import type { Chart } from "../chart/chart.ts";
import { inkOf } from "../chart/ink.ts";
import { coloursOf, intervalsOf, type ChartInput } from "../chart/series.ts";
import type { Names } from "../context.ts";
import { clock, interval, moment, quantity } from "../format.ts";
import type { Ends } from "../ranges.ts";
import { Tip } from "./tip.ts";

/** How many new versions are named below a chart. */
const MOST_MARKERS = 4;

export class ChartView {
  readonly element: HTMLElement;
  readonly #legend = h("div", { class: "legend", label: "ops.legend", attributes: { role: "group" } });
  readonly #box = h("div", { class: "chart", attributes: { role: "img" } });
  readonly #markers: HTMLElement;
  readonly #tip: Tip;
  /** Names of the series that the operator has hidden; they stay hidden when the panel is loaded again. */
  readonly #hidden = new Set<string>();
  #chart: Chart | null = null;
  #shown: { data: Charted; ends: Ends } | null = null;
  #isTouched = false;

  /** @param open opens the turns behind an interval, and behind one series if it is given. */
  constructor(
    private readonly info: PanelInfo,
    private readonly names: Names,
    private readonly open: ((index: number, series: number | null) => void) | null,
  ) {
    // A small panel has no room for the words; they are there for those who do not see the lines.
    this.#markers = h("p", { class: info.wide ? "hint" : "unseen" });
    this.#tip = new Tip(this.#box, (index) => this.open?.(index, null));
    const area = h("div", { class: "chart-area" }, this.#box, this.#tip.element);
    this.element = h("div", { class: "chart-view" }, this.#legend, area, this.#markers);
    this.#box.addEventListener("pointerdown", ({ pointerType }) => (this.#isTouched = pointerType === "touch"), true);
  }

  async show(data: Charted, ends: Ends): Promise<void> {
    this.#shown = { data, ends };
    const { Chart } = await import("../chart/chart.ts");
    if (!this.element.isConnected) return;
    this.#chart ??= new Chart(this.#box, {
      hovered: (index, x) => this.#hovered(index, x),
      chosen: (index, series) => this.#chosen(index, series),
    });
    this.#draw();
  }

  /** Draw again in another language or theme. */
  redraw(): void {
    if (this.#chart) this.#draw();
  }

  dispose(): void {
    this.#chart?.dispose();
    this.#chart = null;
  }

  /** For tests: where a value is drawn, in pixels of the window. */
  placeOf(series: number, index: number): [number, number] | null {
    const place = this.#chart?.placeOf(series, index);
    const { left, top } = this.#box.getBoundingClientRect();
    return place ? [left + place[0], top + place[1]] : null;
  }

  #draw(): void {
    if (!this.#shown) return;
    const { data } = this.#shown;
    const input = this.#input(this.#shown);
    this.#chart?.show(input);
    this.#box.setAttribute("aria-label", this.#summary(data));
    this.#drawLegend(data, input);
    this.#markers.hidden = data.markers.length === 0;
    this.#markers.textContent = this.#markersLine(data.markers);
    this.#tip.hide();
  }

  #input({ data, ends }: { data: Charted; ends: Ends }): ChartInput {
    const ink = inkOf(document.documentElement);
    const hidden = data.series.flatMap(({ name }, index) => (this.#hidden.has(name) ? [index] : []));
    return {
      data,
      ends,
      kind: this.info.chart === "bars" ? "bars" : "lines",
      unit: this.info.unit,
      hidden: new Set(hidden),
      markerTexts: data.markers.map((marker) => this.#markerName(marker)),
      widthPx: this.#box.clientWidth,
      ink,
      colours: coloursOf(data, this.names.ids, ink),
      isStill: matchMedia("(prefers-reduced-motion: reduce)").matches,
    };
  }

  #drawLegend({ series }: Charted, { colours }: ChartInput): void {
    const hadFocus = [...this.#legend.children].indexOf(document.activeElement as HTMLElement);
    const items = series.map((one, index) => {
      const { name } = one;
      const swatch = h("span", { class: "swatch", attributes: { "aria-hidden": "true" } });
      swatch.style.background = colours[index] ?? "";
      const attributes = { "aria-pressed": String(!this.#hidden.has(name)) };
      return button({ class: "legend-item", attributes, onClick: () => this.#toggle(name) }, swatch, this.names.series(one));
    });
    this.#legend.replaceChildren(...items);
    items[hadFocus]?.focus();
  }

  #toggle(name: string): void {
    if (!this.#hidden.delete(name)) this.#hidden.add(name);
    this.#draw();
  }

  #markerName({ bot, version }: Marker): string {
    return `${this.names.bot(bot)} v${version}`;
  }

  /** Name the newest versions in words: the lines of the chart have little room for it. */
  #markersLine(markers: readonly Marker[]): string {
    const newest = markers.slice(-MOST_MARKERS).map((marker) => `${this.#markerName(marker)} (${moment(new Date(marker.time))})`);
    const more = markers.length > MOST_MARKERS ? [`+${markers.length - MOST_MARKERS}`] : [];
    return ["▏", [...newest, ...more].join(" · ")].join(" ");
  }

  /** What the chart shows, for those who do not see it: each series with its last value. */
  #summary({ series }: Charted): string {
    const lasts = series.map((one) => {
      const last = one.values.findLast((value) => value !== null) ?? null;
      return `${this.names.series(one)} ${last === null ? "–" : quantity(last, this.info.unit)}`;
    });
    return `${this.info.title[language()]}: ${lasts.join(", ")}`;
  }

  #hovered(index: number | null, x: number): void {
    if (index === null || !this.#shown) {
      if (!this.#isTouched) this.#tip.hide();
      return;
    }
    const { data, ends } = this.#shown;
    const [from, to] = (intervalsOf(data.times, ends)[index] ?? [0, 0]).map((at) => new Date(at)) as [Date, Date];
    const title = to.getTime() - from.getTime() < 60_000 ? clock(from, true) : interval(from, to);
    const { colours } = this.#input(this.#shown);
    const lines = data.series.flatMap((one, at) => {
      const value = one.values[index] ?? null;
      if (value === null || this.#hidden.has(one.name)) return [];
      const color = colours[at] ?? "";
      return [{ name: this.names.series(one), value: quantity(value, this.info.unit), color }];
    });
    const isSum = this.info.chart === "bars" && lines.length > 1;
    const sum = data.series.reduce((total, { name, values }) => total + (this.#hidden.has(name) ? 0 : (values[index] ?? 0)), 0);
    if (isSum) lines.push({ name: text("ops.sum"), value: quantity(sum, this.info.unit), color: "" });
    this.#tip.show({ index, x, title, lines, withButton: this.#isTouched && this.open !== null });
  }

  /** A finger first sees the values, whose button leads on: it cannot point without pressing. */
  #chosen(index: number, series: number | null): void {
    if (!this.#isTouched) this.open?.(index, series);
  }
}
