/** The page of one turn: where its answer came from. */

import { button, h } from "../../ui/dom.ts";
import { OpsFailure, type OpsApi } from "../api.ts";
import type { DashboardInfo } from "../apiTypes.ts";
import { Names } from "../context.ts";
import { failureWording, opsIcon } from "../dom.ts";
import { zone } from "../format.ts";
import type { Lineage } from "./lineage.ts";
import { ReplayView } from "./replayView.ts";
import { gate, learnedBy, nearestRows, notes, origin, talk, training, waits } from "./sections.ts";

export class TurnPage {
  readonly element: HTMLElement;
  readonly #body = h("div", { class: "turn-body" });
  readonly #replay: ReplayView;
  readonly #names: Names;
  #lineage: Lineage | null = null;

  constructor(
    private readonly api: OpsApi,
    info: DashboardInfo,
    private readonly id: string,
  ) {
    this.#names = new Names(info.bots);
    this.#replay = new ReplayView(api, id);
    const back = h("a", { class: "back", attributes: { href: "/ops" } }, opsIcon("back"), h("span", { text: "ops.back" }));
    this.element = h("main", { class: "turn-page" }, back, h("h1", {}, h("span", { text: "ops.turn.title" }), " ", h("code", {}, id)), this.#body);
    void this.#load();
  }

  redraw(): void {
    if (this.#lineage) this.#show(this.#lineage);
  }

  dispose(): void {
    this.#replay.dispose();
  }

  async #load(): Promise<void> {
    this.#body.replaceChildren(h("p", { class: "panel-state", text: "ops.turn.loading" }));
    try {
      this.#lineage = (await this.api.turn(this.id)) as Lineage;
      this.#show(this.#lineage);
    } catch (error) {
      const isMissing = error instanceof OpsFailure && error.kind === "missing";
      const line = h("p", { class: "problem", text: isMissing ? "ops.turn.missing" : failureWording(error), attributes: { role: "alert" } });
      const again = button({ text: "ops.retry", onClick: () => void this.#load() });
      const detail = isMissing ? h("p", { class: "hint" }, error.detail) : null;
      this.#body.replaceChildren(h("section", { class: "panel" }, line, ...(detail ? [detail] : []), again));
    }
  }

  #show(lineage: Lineage): void {
    const parts = [
      talk(lineage, this.#names),
      waits(lineage),
      origin(lineage),
      training(lineage),
      learnedBy(lineage, this.#names),
      nearestRows(lineage),
      gate(lineage),
      notes(lineage),
    ];
    const found = parts.filter((part) => part !== null);
    this.#replay.redraw();
    this.#body.replaceChildren(h("div", { class: "parts" }, ...found, this.#replay.element), h("p", { class: "hint", text: { key: "ops.zone", params: { zone: zone() } } }));
  }
}
