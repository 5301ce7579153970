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
/** The hats from number 1: woollen hat, straw hat, beret, gat and wreath. */
const HATS: readonly (readonly [path: string, color: string])[][] = [
  [["M17 21c0-10 6-15 15-15s15 5 15 15z", "#e0604f"], ["M15 18h34v6H15z", "#fff4dc"]],
  [["M21 19c0-9 4-13 11-13s11 4 11 13z", "#f0d48c"], ["M6 20q26-8 52 0-26 8-52 0z", "#d9b263"]],
  [["M13 21c-1-9 8-15 20-14s19 5 17 12c-9-3-25-3-37 2z", "#7d4fa8"]],
  [["M24 18V3h16v15z", "#3d3a4c"], ["M5 19q27-7 54 0-27 7-54 0z", "#2c2a38"]],
  [["M14 23q18-14 36 0l-2 4q-16-12-32 0z", "#6fb35c"], ["M19 21a3 3 0 1 0 .1 0M32 15a3 3 0 1 0 .1 0M45 21a3 3 0 1 0 .1 0", "#f4a9c0"]],
];

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
    ...topHair(look, hair),
    ...face(),
    ...(HATS[look.hat - 1] ?? []).map(([d, fill]) => svg("path", { d, fill })),
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

/** Curls and buns; a hat hides them, but for the wreath. */
function topHair({ hair, hat }: Look, fill: string): SVGElement[] {
  if (hat > 0 && hat < 5) return [];
  const balls: readonly (readonly [number, number, number])[] =
    hair === 4 ? [[19, 19, 6], [26, 14, 6], [34, 13, 6], [42, 17, 6], [46, 24, 5], [17, 26, 5]] : hair === 5 ? [[19, 13, 6], [45, 13, 6]] : [];
  return balls.map(([cx, cy, r]) => svg("circle", { cx, cy, r, fill }));
}

function colorOf(colors: readonly number[], index: number): string {
  return cssColor(colors[index % colors.length] ?? 0);
}

/** Return the colours of a part, as CSS; empty for parts without. */
export function partColors(part: keyof Look): string[] {
  return (COLORS[part] ?? []).map(cssColor);
}
