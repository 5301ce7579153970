/** What a chart shows, and where its intervals lie. Knows no library. */

import type { Charted, Series } from "../apiTypes.ts";
import type { Ends } from "../ranges.ts";

/** The colours of a chart, taken from the page's style. */
export interface Ink {
  text: string;
  soft: string;
  line: string;
  panel: string;
  font: string;
  series: readonly string[];
}

export interface ChartInput {
  data: Charted;
  kind: "lines" | "bars";
  unit: string;
  ends: Ends;
  colours: readonly string[];
  /** Which series are hidden, by position. */
  hidden: ReadonlySet<number>;
  /** What stands at the line of a new version. */
  markerTexts: readonly string[];
  /** How wide the chart is. */
  widthPx: number;
  ink: Ink;
  isStill: boolean;
}

/** Return when each interval begins and ends, in milliseconds. The last one is as long as the one before it. */
export function intervalsOf(times: readonly string[], ends: Ends): [number, number][] {
  const starts = times.map((time) => Date.parse(time));
  const [last = 0, before] = [starts.at(-1), starts.at(-2)];
  const lastEnd = before === undefined ? Math.max(last + 1, ends.to.getTime()) : last + (last - before);
  return starts.map((start, index) => [start, starts[index + 1] ?? lastEnd]);
}

/** Return the position of the interval that a time lies in; null if it lies in none. */
export function intervalAt(intervals: readonly (readonly [number, number])[], at: number): number | null {
  const found = intervals.findIndex(([from, to]) => from <= at && at < to);
  return found === -1 ? null : found;
}

/** Return whether a value has no neighbour, so that no line leads to it. */
export function isAlone(values: readonly (number | null)[], index: number): boolean {
  return (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
}

/**
 * Return the texts of several places as far as they have room: one that would meet the text before it is only counted there.
 *
 * @param places where the texts stand, in their order.
 * @param distance how far they must be apart.
 */
export function withRoom(places: readonly number[], texts: readonly string[], distance: number): string[] {
  const shown = texts.map(() => "");
  const left = texts.map(() => 0);
  let last = -1;
  for (const [index, place] of places.entries()) {
    if (last >= 0 && place - (places[last] ?? 0) < distance) left[last] = (left[last] ?? 0) + 1;
    else {
      shown[index] = texts[index] ?? "";
      last = index;
    }
  }
  return shown.map((text, index) => (left[index] ? `${text} +${left[index]}` : text));
}

/** Return a chart whose series are in the order of the bots, and of a bot's versions; others stay where they are. */
export function arranged(data: Charted, bots: readonly string[]): Charted {
  const botOf = ({ name, key }: Series): number => bots.indexOf(bots.includes(name) ? name : String(key["bot"]));
  if (data.series.some((one) => botOf(one) === -1)) return data;
  const versionOf = ({ key }: Series): number => Number(key["version"] ?? 0);
  return { ...data, series: data.series.toSorted((a, b) => botOf(a) - botOf(b) || versionOf(a) - versionOf(b)) };
}

/**
 * Return the colour of each series: a bot has the same one in all charts, and its older versions have paler ones.
 *
 * @param bots the ids of all bots, in their order.
 */
export function coloursOf({ series }: Charted, bots: readonly string[], ink: Ink): string[] {
  const plain = (position: number): string => ink.series[position % ink.series.length] ?? ink.text;
  const names = series.map(({ name, key }) => bots.indexOf(bots.includes(name) ? name : String(key["bot"])));
  const isOfBots = names.every((position) => position >= 0);
  if (!isOfBots) return series.map((_, index) => plain(index));
  return series.map(({ key }, index) => {
    const bot = names[index] ?? 0;
    const newer = series.filter((other, at) => names[at] === bot && Number(other.key["version"]) > Number(key["version"])).length;
    return mixed(plain(bot), ink.panel, 1 - Math.max(PALEST, 0.62 ** newer));
  });
}

/** How much of its bot's colour the oldest version keeps, so that it is still seen. */
const PALEST = 0.3;

/** Mix two colours such as `#ffc46b`. @param share how much of the second. */
export function mixed(first: string, second: string, share: number): string {
  const parts = (colour: string): number[] => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  const [from, to] = [parts(first), parts(second)];
  const found = from.map((value, at) => Math.round(value + ((to[at] ?? value) - value) * share));
  return found.some(Number.isNaN) ? first : `#${found.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
