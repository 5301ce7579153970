/** What the parts of the operators' page share. */

import { hasText, language, text } from "../i18n/language.ts";
import type { InBoth } from "../i18n/localize.ts";
import type { OpsApi, Query } from "./api.ts";
import type { DashboardInfo, Series } from "./apiTypes.ts";
import { coded } from "./format.ts";

/** The fields whose values are codes that have a text. */
const CODED: Readonly<Record<string, string>> = {
  outcome: "ops.outcome",
  fallback: "ops.outcome",
  kind: "ops.kind",
  fault: "ops.fault",
  faults: "ops.fault",
  reason: "ops.reason",
};

export class Names {
  constructor(private readonly bots: DashboardInfo["bots"]) {}

  /** The ids of all bots. */
  get ids(): string[] {
    return this.bots.map(({ id }) => id);
  }

  bot(id: string): string {
    const own = `ops.botName.${id}`;
    if (hasText(own)) return text(own);
    const found = this.bots.find((bot) => bot.id === id)?.name;
    if (found === undefined) return id;
    return typeof found === "string" ? found : found[language()];
  }

  /** Return what a value of a field is called; the value itself if it has no name. */
  value(field: string, value: string): string {
    if (field === "bot") return this.bot(value);
    const prefix = CODED[field];
    return prefix === undefined ? value : value.split(", ").map((code) => coded(prefix, code)).join(", ");
  }

  /** Return what a series is called: by its key if its name only repeats that. */
  series({ name, title, key }: Series): string {
    if (title) return title[language()];
    if (key["bot"] !== undefined && key["version"] !== undefined) return `${this.bot(String(key["bot"]))} v${key["version"]}`;
    const field = Object.keys(key).find((found) => String(key[found]) === name);
    return field === undefined ? this.bot(name) : this.value(field, name);
  }
}

export interface OpsContext {
  api: OpsApi;
  names: Names;
  /** Open the list of the single turns behind a number. */
  drill(title: InBoth, query: Query): void;
}
