/** Which time and which bot is looked at. The page's address says it, so that a view can be kept and sent. */

import type { Query } from "./api.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The ranges that end now. */
export const LENGTHS_MS = { "1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "1y": 365 * DAY_MS } as const;
export type Length = keyof typeof LENGTHS_MS;
export const LENGTHS = Object.keys(LENGTHS_MS) as Length[];
const DEFAULT: Length = "24h";

/** A range that ends now, or one with fixed ends. */
export type Range = Length | { from: Date; to: Date };

export interface View {
  range: Range;
  /** Empty for all bots. */
  bot: string;
}

export interface Ends {
  from: Date;
  to: Date;
}

/** Ranges end at a multiple of this, so that pages that ask at nearly the same time ask the gateway for the same. */
const ROUNDED_TO_MS = 5000;

/** Return where a range begins and ends. */
export function endsOf(range: Range, now: Date): Ends {
  if (typeof range !== "string") return range;
  const to = Math.ceil(now.getTime() / ROUNDED_TO_MS) * ROUNDED_TO_MS;
  return { from: new Date(to - LENGTHS_MS[range]), to: new Date(to) };
}

/** Return what the gateway is asked for. */
export function queryOf({ from, to }: Ends, bot: string): Query {
  return { from: from.toISOString(), to: to.toISOString(), ...(bot === "" ? {} : { bot }) };
}

/** Read a view from the query of an address; what is wrong or missing has its default. */
export function viewFrom(search: string): View {
  const query = new URLSearchParams(search);
  const custom = customRange(query.get("from"), query.get("to"));
  const length = LENGTHS.find((found) => found === query.get("range"));
  return { range: custom ?? length ?? DEFAULT, bot: query.get("bot") ?? "" };
}

/** Write a view as the query of an address. */
export function searchOf({ range, bot }: View): string {
  const query = new URLSearchParams();
  if (typeof range === "string") query.set("range", range);
  else for (const [name, at] of Object.entries(range)) query.set(name, at.toISOString());
  if (bot !== "") query.set("bot", bot);
  return `?${query.toString()}`;
}

/** Return a range between two times; null if one is not readable or they are in the wrong order. */
export function customRange(from: string | null, to: string | null): Ends | null {
  if (!from || !to) return null;
  const ends = { from: new Date(from), to: new Date(to) };
  return ends.from.getTime() < ends.to.getTime() ? ends : null;
}

/** Return a time as a field for date and time shows it, in the browser's time zone. */
export function localInput(at: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
