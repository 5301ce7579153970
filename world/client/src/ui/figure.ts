/** A small flat portrait of an avatar: for the list of people, and for the choice of looks where 3D is missing. */

import { COLORS, cssColor } from "../model/looks.ts";
import type { Look } from "../scene/api.ts";
import { HAIR_COLORS, SKIN_COLORS, TOP_COLORS } from "../scene/palette.ts";
import { svg } from "./dom.ts";

/** The hair behind the head, for the styles that have some. */
const BACK_HAIR: Readonly<Record<number, string>> = {
  1: "M15 28c0-12 7-18 17-18s17 6 17 18v14c-4 3-8 3-10 2H25c-2 1-6 1-10-2z",
  2: "M14 28c0-12 8-18 18-18s18 6 18 18v26H14z",
  3: "M45 16c8 0 11 8 10 16s-4 14-9 16c1-8 1-18-1-24z",
};
const FRINGE = "M18 29c-1-12 5-18 14-18s15 6 14 18c-3-3-5-6-6-9-6 4-14 5-18 3-1 2-2 4-4 6z";
const HAT_COLORS = ["#7a6bc0", "#d9604f", "#e5b567", "#3f7f78", "#f29bb5"] as const;

/** Return a portrait. */
export function figure(look: Look): SVGSVGElement {
  const hair = colorOf(HAIR_COLORS, look.hair_color);
  const back = BACK_HAIR[look.hair];
  const [top, collar] = TOP_COLORS[look.top % TOP_COLORS.length] ?? TOP_COLORS[0];
  return svg(
    "svg",
    { viewBox: "0 0 64 64", class: "figure", "aria-hidden": "true", focusable: "false" },
    ...(back ? [svg("path", { d: back, fill: hair })] : []),
    svg("path", { d: "M10 64c0-12 8-17 22-17s22 5 22 17z", fill: cssColor(top) }),
    svg("path", { d: "M25 47h14l-7 8z", fill: cssColor(collar) }),
    svg("circle", { cx: 32, cy: 30, r: 15, fill: colorOf(SKIN_COLORS, look.body) }),
    svg("path", { d: FRINGE, fill: hair }),
    ...(look.hair === 5 ? [svg("circle", { cx: 32, cy: 9, r: 6, fill: hair })] : []),
    ...face(),
    ...hat(look.hat),
  );
}

function face(): SVGElement[] {
  return [
    svg("circle", { cx: 26.5, cy: 32, r: 1.8, fill: "#3a3550" }),
    svg("circle", { cx: 37.5, cy: 32, r: 1.8, fill: "#3a3550" }),
    svg("circle", { cx: 23, cy: 36, r: 2.2, fill: "#f08a7a", opacity: 0.45 }),
    svg("circle", { cx: 41, cy: 36, r: 2.2, fill: "#f08a7a", opacity: 0.45 }),
    svg("path", { d: "M29.500 37.500q2.500 2.200 5 0", fill: "none", stroke: "#3a3550", "stroke-width": 1.4, "stroke-linecap": "round" }),
  ];
}

/** Number 0 is no hat. */
function hat(number: number): SVGElement[] {
  const color = HAT_COLORS[number - 1];
  return color ? [svg("path", { d: "M16 21c0-10 7-15 16-15s16 5 16 15c-10-4-22-4-32 0z", fill: color })] : [];
}

function colorOf(colors: readonly number[], index: number): string {
  return cssColor(colors[index % colors.length] ?? 0);
}

/** Return the colours of a part, as CSS; empty for parts without. */
export function partColors(part: keyof Look): string[] {
  return (COLORS[part] ?? []).map(cssColor);
}
