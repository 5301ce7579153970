/** The dashboard: what is chosen, the numbers of now, and the panels. */

import { localize } from "../../i18n/localize.ts";
import { button, h } from "../../ui/dom.ts";
import { isAbort, type OpsApi } from "../api.ts";
import type { DashboardInfo, Numbers } from "../apiTypes.ts";
import { Names, type OpsContext } from "../context.ts";
import { failureWording } from "../dom.ts";
import { endsOf, searchOf, viewFrom, type View } from "../ranges.ts";
import { Refresher } from "../refresher.ts";
import { numbersView } from "./numbersView.ts";
import { Panel } from "./panel.ts";
import { RangeBar } from "./rangeBar.ts";
import { RefreshBar } from "./refreshBar.ts";
import { turnsDialog } from "./turnsDialog.ts";

/** How many panels are asked for at once: a browser holds more back anyway, and the search server has others to serve. */
const AT_ONCE = 4;

export class Dashboard {
  readonly element: HTMLElement;
  readonly #names: Names;
  readonly #panels: Panel[];
  readonly #ranges: RangeBar;
  readonly #refreshBar: RefreshBar;
  readonly #refresher: Refresher;
  readonly #now = h("div", { class: "now-numbers" });
  #numbers: Numbers | null = null;
  #view: View = viewFrom(location.search);
  #round = 0;

  constructor(
    private readonly api: OpsApi,
    info: DashboardInfo,
  ) {
    this.#names = new Names(info.bots);
    const context: OpsContext = {
      api,
      names: this.#names,
      drill: (title, query) => turnsDialog(api, this.#names, title, query),
    };
    this.#panels = info.panels.map((panel) => new Panel(panel, context));
    this.#ranges = new RangeBar(this.#view, this.#names, (view) => this.#choose(view));
    this.#refresher = new Refresher({
      refresh: () => void this.#load(),
      isVisible: () => document.visibilityState === "visible",
      nowMs: () => performance.now(),
      later: (ms, action) => window.setTimeout(action, ms),
      never: (timer) => window.clearTimeout(timer),
    });
    this.#refreshBar = new RefreshBar(info.refresh_s, {
      refresh: () => this.#loadNow(),
      pause: (isPaused) => this.#refresher.pause(isPaused),
    });
    this.element = h(
      "main",
      { class: "dashboard" },
      h("h1", { class: "unseen", text: info.title ?? "ops.title" }),
      h("div", { class: "controls" }, this.#ranges.element, this.#refreshBar.element),
      h("section", { class: "now", label: "ops.now" }, this.#now),
      h("div", { class: "panels" }, ...this.#panels.map(({ element }) => element)),
    );
    this.#refresher.start(info.refresh_s);
    document.addEventListener("visibilitychange", this.#seen);
    void this.#load();
  }

  /** Draw again, in the language and the theme of now. */
  redraw(): void {
    this.#ranges.show();
    this.#refreshBar.show();
    this.#showNow();
    for (const panel of this.#panels) panel.redraw();
  }

  /** End for good. */
  dispose(): void {
    this.#round += 1;
    this.#refresher.stop();
    document.removeEventListener("visibilitychange", this.#seen);
    for (const panel of this.#panels) panel.dispose();
  }

  /** For tests: where a value of a panel is drawn, in pixels of the window. */
  placeOf(id: string, series: number, index: number): [number, number] | null {
    return this.#panels.find(({ info }) => info.id === id)?.placeOf(series, index) ?? null;
  }

  readonly #seen = (): void => this.#refresher.seen();

  #choose(view: View): void {
    this.#view = view;
    history.replaceState(null, "", searchOf(view));
    this.#loadNow();
  }

  #loadNow(): void {
    this.#refresher.loaded();
    void this.#load();
  }

  /** Load everything for the chosen time. A newer round ends this one. */
  async #load(): Promise<void> {
    this.#round += 1;
    const round = this.#round;
    const at = new Date();
    const ends = endsOf(this.#view.range, at);
    const waiting = [...this.#panels];
    const work = async (): Promise<void> => {
      for (let panel = waiting.shift(); panel && round === this.#round; panel = waiting.shift()) await panel.load(ends, this.#view.bot);
    };
    await Promise.all([this.#loadNumbers(), ...Array.from({ length: AT_ONCE }, work)]);
    if (round === this.#round) this.#refreshBar.updated(at);
  }

  async #loadNumbers(): Promise<void> {
    try {
      this.#numbers = await this.api.now();
      this.#showNow();
    } catch (error) {
      if (isAbort(error)) return;
      const line = h("p", { class: "problem" });
      localize(line, failureWording(error));
      this.#now.replaceChildren(line, button({ text: "ops.retry", onClick: () => void this.#loadNumbers() }));
    }
  }

  #showNow(): void {
    if (this.#numbers) this.#now.replaceChildren(numbersView(this.#numbers, this.#names));
  }
}
