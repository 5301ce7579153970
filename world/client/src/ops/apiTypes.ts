/** What the gateway answers below `/ops/api`. Texts are plain text: some of them are players'. */

import type { InBoth } from "../i18n/localize.ts";

/** The fields and values that single turns must have, to belong to a number. */
export type Key = Readonly<Record<string, string | number | boolean>>;

export type CellKind = "text" | "number" | "share" | "time" | "turn" | "ms";
export type Cell = string | number | boolean | null;

export interface PanelInfo {
  id: string;
  title: InBoth;
  note: InBoth;
  chart: "lines" | "bars" | "table" | "numbers";
  unit: string;
  /** Takes the width of two panels. */
  wide: boolean;
  /** Its numbers lead to single turns. */
  drill: boolean;
}

export interface DashboardInfo {
  title?: InBoth;
  panels: PanelInfo[];
  bots: { id: string; name: string | InBoth }[];
  links: Readonly<Record<string, string>>;
  refresh_s: number;
}

export interface Series {
  name: string;
  /** The name in both languages, if it is not only a value. */
  title?: InBoth;
  key: Key;
  values: (number | null)[];
}

/** A new version of a bot. */
export interface Marker {
  time: string;
  bot: string;
  version: number | string;
}

export interface Charted {
  /** When each interval begins. */
  times: string[];
  series: Series[];
  markers: Marker[];
}

export interface Column {
  id: string;
  title: InBoth;
  kind: CellKind;
}

export interface Tabled {
  columns: Column[];
  rows: Cell[][];
  keys?: Key[];
}

export interface Shown {
  id: string;
  title: InBoth;
  kind: CellKind;
  value: Cell;
  /** Why there is no value. */
  reason?: string;
}

export interface Numbers {
  numbers: Shown[];
}

export type PanelData = (Charted | Tabled | Numbers) & { id: string; took_ms: number };

export const isCharted = (data: object): data is Charted => "series" in data;
export const isTabled = (data: object): data is Tabled => "rows" in data;
export const isNumbers = (data: object): data is Numbers => "numbers" in data;

/** Whether there is nothing to draw. */
export function isEmpty(data: object): boolean {
  if (isCharted(data)) return data.series.every(({ values }) => values.every((value) => value === null));
  if (isTabled(data)) return data.rows.length === 0;
  return isNumbers(data) && data.numbers.length === 0;
}
