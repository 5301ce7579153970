/** The same question, asked again of the same version, when the operator wants it: the gateway has to load the model. */

import { text, type TextKey } from "../../i18n/language.ts";
import { button, h, type Child } from "../../ui/dom.ts";
import type { OpsApi } from "../api.ts";
import { isAbort } from "../api.ts";
import { failureWording } from "../dom.ts";
import { coded, share } from "../format.ts";
import type { Choice, Explanation } from "./lineage.ts";
import { badge, facts, part, plainTable } from "./parts.ts";

const LOOKS: Readonly<Record<string, "good" | "bad">> = { agrees: "good", differs: "bad" };

export class ReplayView {
  readonly element: HTMLElement;
  readonly #body = h("div", { class: "replay-body", attributes: { "aria-live": "polite" } });
  readonly #start = button({ class: "primary", text: "ops.replay.start", onClick: () => void this.#load() });
  readonly #request = new AbortController();
  #found: Explanation | null = null;

  constructor(
    private readonly api: OpsApi,
    private readonly id: string,
  ) {
    this.element = part("replay", "ops.replay", h("p", { class: "hint", text: "ops.replay.about" }), this.#start, this.#body);
  }

  redraw(): void {
    if (this.#found) this.#body.replaceChildren(...replayParts(this.#found));
  }

  dispose(): void {
    this.#request.abort();
  }

  async #load(): Promise<void> {
    this.#start.disabled = true;
    this.#body.replaceChildren(h("p", { class: "panel-state", text: "ops.replay.running" }));
    try {
      this.#found = (await this.api.replay(this.id, this.#request.signal)) as Explanation;
      this.redraw();
    } catch (error) {
      if (isAbort(error)) return;
      this.#body.replaceChildren(h("p", { class: "problem", text: failureWording(error) }));
    }
    this.#start.disabled = false;
  }
}

function replayParts({ replay, changes, notes }: Explanation): HTMLElement[] {
  const parts: HTMLElement[] = [];
  if (replay) {
    const { difference } = replay;
    parts.push(
      facts(
        ["ops.replay.verdict", badge(coded("ops.verdict", replay.verdict), LOOKS[replay.verdict])],
        ["ops.replay.answer", replay.answer],
        ["ops.replay.difference", difference && `${difference.step}: ${piece(difference.stored)} → ${piece(difference.replayed)}`],
      ),
      steps(replay.steps),
    );
  } else parts.push(h("p", { text: "ops.replay.none" }));
  if (changes.length > 0) parts.push(changesTable(changes));
  if (notes.length > 0) parts.push(h("ul", { class: "notes", attributes: { lang: "en" } }, ...notes.map((note) => h("li", {}, note))));
  return parts;
}

function steps(found: NonNullable<Explanation["replay"]>["steps"]): HTMLElement {
  const heads: TextKey[] = ["ops.replay.step", "ops.replay.chosen", "ops.replay.stored", "ops.replay.others"];
  const rows = found.map(({ number, chosen, choices, stored }): Child[] => [
    String(number),
    piece(chosen),
    stored ? piece(stored) : "–",
    choices.filter(({ token_id: id }) => id !== chosen.token_id).map(piece).join("  "),
  ]);
  return plainTable("ops.replay.steps", heads, rows, [0]);
}

function changesTable(changes: Explanation["changes"]): HTMLElement {
  const rows = changes.map(({ rule, why, before, after }): Child[] => [h("code", {}, rule), h("span", { attributes: { lang: "en" } }, why), before, after]);
  return plainTable("ops.replay.changes", ["ops.replay.rule", "ops.replay.why", "ops.replay.before", "ops.replay.after"], rows);
}

/** A token as the vocabulary spells it: a space is shown, so that it can be seen. */
function piece({ piece: spelled, probability }: Choice): string {
  return text("ops.replay.piece", { piece: spelled.replaceAll(" ", "␣"), share: share(probability) });
}
