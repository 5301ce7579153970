/** The parts of a turn's page, each from its part of the lineage. */

import { text, type TextKey } from "../../i18n/language.ts";
import { h, type Child } from "../../ui/dom.ts";
import type { Names } from "../context.ts";
import { awayLink, conversationLink, turnLink } from "../dom.ts";
import { coded, milliseconds, moment, number, quantity, share } from "../format.ts";
import { waitsOf, type Counts, type KafkaPosition, type Learner, type Lineage, type NearestRow, type RecordedConsent, type Wait } from "./lineage.ts";
import { badge, facts, part, plainTable } from "./parts.ts";

const WAITS: Readonly<Record<Wait["part"], TextKey>> = {
  kafka: "ops.wait.kafka", queue: "ops.wait.queue", decode: "ops.wait.decode", return: "ops.wait.return", worker: "ops.wait.worker",
};

/** The question and the answer, and who gave it. */
export function talk({ turn, version }: Lineage, names: Names): HTMLElement {
  const notStored = (): HTMLElement => h("i", { text: "ops.turn.notStored" });
  const who = turn.model_version === 0 ? names.bot(turn.bot) : `${names.bot(turn.bot)} v${turn.model_version}`;
  return part(
    "talk",
    "ops.turn.talk",
    h(
      "div",
      { class: "bubbles" },
      h("blockquote", { class: "bubble question" }, h("cite", { text: "ops.turn.question" }), h("p", {}, turn.question ?? notStored())),
      h("blockquote", { class: "bubble answer-bubble" }, h("cite", {}, who), h("p", {}, turn.answer ?? notStored())),
    ),
    facts(
      ["ops.turn.outcome", badge(coded("ops.outcome", turn.outcome), turn.outcome === "model" ? "good" : "plain")],
      ["ops.turn.version", version ? awayLink(version.url, `v${version.version}`) : turn.model_version === 0 ? text("ops.turn.noVersion") : `v${turn.model_version}`],
      ["ops.turn.aliases", version ? aliases(version.aliases) : null],
      ["ops.turn.registered", version ? when(version.registered_at) : null],
      ["ops.turn.nearestQuestion", turn.nearest?.question],
      ["ops.turn.nearestSource", turn.nearest?.source],
      ["ops.turn.likeness", likeness(turn.nearest?.likeness)],
      ["ops.turn.context", turn.conversation ? conversationLink(turn.conversation, turn.received_at, turn.turn_id) : null],
    ),
  );
}

/** How long the player waited for what. */
export function waits({ turn }: Lineage): HTMLElement {
  const parts = waitsOf(turn);
  const total = parts.reduce((sum, { ms }) => sum + ms, 0);
  const bar = h("div", { class: "wait-bar", attributes: { "aria-hidden": "true" } });
  const items = parts.map(({ part: name, ms }) => {
    const piece = h("span", { class: `wait ${name}` });
    piece.style.flexGrow = String(ms);
    bar.append(piece);
    return h("li", {}, h("span", { class: `swatch ${name}`, attributes: { "aria-hidden": "true" } }), h("span", { text: WAITS[name] }), h("b", {}, milliseconds(ms)));
  });
  return part(
    "waits",
    "ops.turn.waits",
    bar,
    h("ul", { class: "waits" }, ...items, h("li", { class: "total" }, h("span", { text: "ops.wait.total" }), h("b", {}, milliseconds(total)))),
    facts(["ops.turn.sent", when(turn.sent_at)], ["ops.turn.received", when(turn.received_at)], ["ops.turn.answered", when(turn.answered_at)], ["ops.turn.worker", turn.worker]),
  );
}

/** Who asked, what that player agreed to, and where Kafka has the records. */
export function origin({ turn, positions, consent }: Lineage): HTMLElement {
  return part(
    "origin",
    "ops.turn.origin",
    facts(
      ["ops.turn.store", yesNo(consent.store)],
      ["ops.turn.train", yesNo(consent.train)],
      ["ops.turn.minor", text(consent.minor ? "ops.yes" : "ops.no")],
      ["ops.turn.authenticated", yesNo(consent.authenticated)],
      ["ops.turn.player", code(turn.player_id)],
      ["ops.turn.session", code(turn.session_id)],
      ["ops.turn.source", turn.source],
      ["ops.turn.questionAt", code(position(positions.question))],
      ["ops.turn.logAt", code(position(positions.log))],
      ["ops.turn.foundIn", turn.found_in],
    ),
  );
}

/** The training of the version: its run and its data. */
export function training({ run, dataset }: Lineage): HTMLElement {
  if (!run && !dataset) return part("training", "ops.turn.training", h("p", { class: "panel-state", text: "ops.turn.unknown" }));
  return part(
    "training",
    "ops.turn.training",
    facts(
      ["ops.turn.run", run ? awayLink(run.url, code(run.run_id)) : null],
      ["ops.turn.started", when(run?.started_at)],
      ["ops.turn.ended", when(run?.ended_at)],
      ["ops.turn.dataset", code(dataset?.dataset)],
      ["ops.turn.created", when(dataset?.created_at)],
      ["ops.turn.previous", code(dataset?.previous)],
      ["ops.turn.counts", dataset ? counts(dataset.counts) : null],
      ["ops.turn.sources", dataset ? counts(dataset.sources) : null],
      ["ops.turn.rejects", dataset ? counts(dataset.rejects) : null],
      ["ops.turn.newPairs", dataset ? number(dataset.new_pairs) : null],
      ["ops.turn.withdrawn", dataset ? number(dataset.withdrawn_pairs) : null],
      ["ops.turn.distrusted", dataset ? counts(dataset.distrusted) : null],
    ),
  );
}

/** What the gate decided on the version, rule by rule. */
export function gate({ gate: found, version }: Lineage): HTMLElement {
  if (!found) return part("gate", "ops.turn.gate", h("p", { class: "panel-state", text: "ops.turn.unknown" }));
  const looks = { pass: "good", refused: "bad" } as const;
  const result = badge(coded("ops.gate", found.result === "" ? "none" : found.result), looks[found.result as keyof typeof looks]);
  const rows = found.reasons.map((reason) => [
    badge(text(reason.passed ? "ops.gate.ok" : "ops.gate.failed"), reason.passed ? "good" : reason.blocking ? "bad" : "plain"),
    h("span", { class: "rule" }, code(`${reason.block}.${reason.rule}`), h("span", { class: "hint" }, reason.sentence)),
    figure(reason.value),
    figure(reason.threshold),
    figure(reason.baseline),
    text(reason.blocking ? "ops.yes" : "ops.no"),
  ]);
  const heads: TextKey[] = ["ops.gate.result", "ops.gate.rule", "ops.gate.value", "ops.gate.threshold", "ops.gate.baseline", "ops.gate.blocking"];
  return part(
    "gate",
    version ? { key: "ops.turn.gateOf", params: { version: version.version } } : "ops.turn.gate",
    facts(["ops.gate.result", result], ["ops.gate.against", found.baseline], ["ops.gate.profile", found.profile], ["ops.gate.page", found.url === "" ? null : awayLink(found.url, text("ops.gate.decision"))]),
    found.reasons.length > 0 ? plainTable("ops.turn.gate", heads, rows, [2, 3, 4]) : h("p", { class: "hint" }, found.summary),
  );
}

/** The training rows with the most similar questions. */
export function nearestRows({ nearest_rows: rows }: Lineage): HTMLElement {
  if (rows.length === 0) return part("nearest", "ops.turn.nearest", h("p", { class: "panel-state", text: "ops.turn.noRows" }));
  const cells = rows.map((row): Child[] => [
    likeness(row.likeness) ?? "",
    row.question,
    row.answer,
    coded("ops.rowKind", row.kind),
    sources(row),
    consents(row),
    coded("ops.split", row.split),
  ]);
  const heads: TextKey[] = ["ops.turn.likeness", "ops.turn.question", "ops.turn.answer", "ops.row.kind", "ops.row.sources", "ops.row.consent", "ops.row.split"];
  return part("nearest", "ops.turn.nearest", h("p", { class: "hint", text: "ops.turn.nearestAbout" }), plainTable("ops.turn.nearest", heads, cells, [0]));
}

/** The versions that learned this very turn. */
export function learnedBy({ learned_by: learners }: Lineage, names: Names): HTMLElement {
  if (learners.length === 0) return part("learned", "ops.turn.learnedBy", h("p", { class: "panel-state", text: "ops.turn.learnedByNone" }));
  const rows = learners.map((learner: Learner): Child[] => [
    `${names.bot(learner.bot)} v${learner.version}`,
    aliases(learner.aliases),
    coded("ops.how", learner.how),
    coded("ops.gate", learner.gate === "" ? "none" : learner.gate),
    code(learner.dataset),
  ]);
  return part("learned", "ops.turn.learnedBy", plainTable("ops.turn.learnedBy", ["ops.turn.version", "ops.turn.aliases", "ops.row.how", "ops.turn.gate", "ops.turn.dataset"], rows));
}

/** What is missing, and why, as the server says it. */
export function notes({ notes: found }: Pick<Lineage, "notes">): HTMLElement | null {
  if (found.length === 0) return null;
  return part("notes", "ops.turn.notes", h("ul", { class: "notes", attributes: { lang: "en" } }, ...found.map((note) => h("li", {}, note))));
}

function when(time: string | null | undefined): string | null {
  if (!time) return null;
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time : moment(at);
}

function aliases(found: readonly string[]): Child {
  if (found.length === 0) return "–";
  return h("span", { class: "chips" }, ...found.map((alias) => badge(coded("ops.alias", alias), alias === "champion" ? "good" : "plain")));
}

function sources({ sources: found }: NearestRow): Child {
  return found.length === 0 ? "–" : h("span", { class: "chips" }, ...found.map(turnLink));
}

function consents({ consent }: NearestRow): Child {
  const said = ([name, found]: [TextKey, RecordedConsent | null]): HTMLElement[] =>
    found ? [h("span", {}, h("span", { text: name }), ": ", text(found.train === null ? "ops.consent.unsaid" : found.train ? "ops.consent.yes" : "ops.consent.no"))] : [];
  const parts = [said(["ops.consent.asker", consent.asker]), said(["ops.consent.teacher", consent.teacher])].flat();
  return parts.length === 0 ? "–" : h("span", { class: "stacked" }, ...parts);
}

function counts(found: Counts): Child {
  const entries = Object.entries(found);
  if (entries.length === 0) return null;
  return h("span", { class: "chips" }, ...entries.map(([name, value]) => badge(`${name} ${typeof value === "number" ? number(value) : String(value)}`)));
}

function position(found: KafkaPosition | null): string | null {
  return found && `${found.topic} · ${found.partition} · ${found.offset}`;
}

function code(content: string | null | undefined): HTMLElement | null {
  return content ? h("code", {}, content) : null;
}

function yesNo(value: boolean): HTMLElement {
  return badge(text(value ? "ops.yes" : "ops.no"), value ? "good" : "bad");
}

function likeness(value: number | null | undefined): string | null {
  return typeof value === "number" ? share(value) : null;
}

function figure(value: number | null): string {
  return value === null ? "–" : quantity(value, "");
}
