/** Numbers and times as the reader writes them: by the language, in the browser's time zone. */

import { hasText, language, text, type Language } from "../i18n/language.ts";
import type { Cell, CellKind } from "./apiTypes.ts";

const LOCALES: Readonly<Record<Language, string>> = { ko: "ko-KR", en: "en-GB" };
const MS_PER_S = 1000;
const DAY_MS = 86_400_000;
/** From how many on a number is written short, such as 12만 or 120K, where there is little room. */
const SHORT_FROM = 10_000;
const NOTHING = "–";

/** A number, with at most two digits after the point. */
export function number(value: number): string {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);
}

/** A share of 1 in per cent. */
export function share(value: number): string {
  return new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(value);
}

/** Milliseconds; from a second on in seconds. */
export function milliseconds(value: number): string {
  return Math.abs(value) < MS_PER_S ? text("ops.unit.ms", { value: number(value) }) : text("ops.unit.s", { value: number(value / MS_PER_S) });
}

/** Bytes, in the unit that fits. */
export function bytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${number(value / 2 ** (10 * step))} ${units[step]}`;
}

/** A day and a time; other years are named. */
export function moment(at: Date, now = new Date()): string {
  const year = at.getFullYear() === now.getFullYear() ? {} : ({ year: "numeric" } as const);
  return format(at, { ...year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** The time of the day. */
export function clock(at: Date, withSeconds: boolean): string {
  return format(at, { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}), hourCycle: "h23" });
}

/** A time below a chart: as short as the shown range allows. */
export function tick(at: Date, rangeMs: number): string {
  if (rangeMs > 400 * DAY_MS) return format(at, { year: "numeric", month: "short" });
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
  if (rangeMs > 3 * DAY_MS || isMidnight) return format(at, { month: "numeric", day: "numeric" });
  return clock(at, rangeMs < 10 * 60 * MS_PER_S);
}

/** From when to when an interval of a chart goes. */
export function interval(from: Date, to: Date): string {
  const isDays = to.getTime() - from.getTime() >= DAY_MS;
  if (isDays) return dayRange(from, new Date(to.getTime() - 1));
  return `${format(from, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}–${clock(to, false)}`;
}

function dayRange(first: Date, last: Date): string {
  const options = { year: "numeric", month: "short", day: "numeric" } as const;
  const [from, to] = [format(first, options), format(last, options)];
  return from === to ? from : `${from}–${to}`;
}

/** The browser's time zone, by name and by its distance from UTC. */
export function zone(at = new Date()): string {
  const { timeZone } = new Intl.DateTimeFormat(locale()).resolvedOptions();
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "shortOffset" }).formatToParts(at);
  const offset = parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
  return offset === "" || offset === timeZone ? timeZone : `${timeZone} (${offset})`;
}

/** A value of a table or of a strip of numbers. */
export function cell(value: Cell, kind: CellKind | string): string {
  if (value === null || value === "") return NOTHING;
  if (typeof value === "boolean") return text(value ? "ops.yes" : "ops.no");
  if (kind === "time") return time(value);
  if (typeof value === "string") return value;
  return quantity(value, kind);
}

/** A number in the unit of a chart or in the kind of a column. */
export function quantity(value: number, unit: string): string {
  if (unit === "share") return share(value);
  if (unit === "ms") return milliseconds(value);
  if (unit === "bytes") return bytes(value);
  if (unit === "s" || unit === "seconds") return milliseconds(value * MS_PER_S);
  return number(value);
}

/** A number beside a chart's axis. */
export function axis(value: number, unit: string): string {
  if (["share", "ms", "bytes", "s", "seconds"].includes(unit) || Math.abs(value) < SHORT_FROM) return quantity(value, unit);
  return new Intl.NumberFormat(locale(), { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

function time(value: string | number): string {
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? String(value) : moment(at);
}

/** Return the text for a code, such as how a turn was answered; the code itself if there is none. */
export function coded(prefix: string, code: string): string {
  const key = `${prefix}.${code}`;
  return hasText(key) ? text(key) : code;
}

function format(at: Date, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat(locale(), options).format(at);
}

function locale(): string {
  return LOCALES[language()];
}
