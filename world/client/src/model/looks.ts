/** The choice of looks, and which one this browser wears. */

import type { Look } from "../scene/api.ts";
import { BOTTOM_COLORS, HAIR_COLORS, SKIN_COLORS, TOP_COLORS } from "../scene/palette.ts";
import { storedObject } from "./storage.ts";

const KEY = "byeolmaru.look";
const HAIR_STYLES = 6;
const HATS = 6;

export type LookPart = keyof Look;
export const LOOK_PARTS: readonly LookPart[] = ["body", "hair", "hair_color", "top", "bottom", "hat"];

/** How many there are of each part. */
export const CHOICES: Readonly<Record<LookPart, number>> = {
  body: SKIN_COLORS.length,
  hair: HAIR_STYLES,
  hair_color: HAIR_COLORS.length,
  top: TOP_COLORS.length,
  bottom: BOTTOM_COLORS.length,
  hat: HATS,
};

/** The parts that are chosen by colour. */
export const COLORS: Readonly<Partial<Record<LookPart, readonly number[]>>> = {
  body: SKIN_COLORS,
  hair_color: HAIR_COLORS,
  top: TOP_COLORS.map(([main]) => main),
  bottom: BOTTOM_COLORS,
};

/** Return a random look. */
export function randomLook(draw: () => number = Math.random): Look {
  const pick = (part: LookPart): number => Math.floor(draw() * CHOICES[part]);
  return {
    body: pick("body"),
    hair: pick("hair"),
    hair_color: pick("hair_color"),
    top: pick("top"),
    bottom: pick("bottom"),
    hat: pick("hat"),
  };
}

/** Return a look with the part before or after the present one. */
export function stepped(look: Look, part: LookPart, step: 1 | -1): Look {
  const count = CHOICES[part];
  return { ...look, [part]: (look[part] + step + count) % count };
}

/** Return the look that this browser wore last, or a random one. */
export function storedLook(storage: Pick<Storage, "getItem">): Look {
  const stored = storedObject(storage, KEY);
  const look = randomLook();
  for (const part of LOOK_PARTS) {
    const value = stored[part];
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < CHOICES[part]) look[part] = value;
  }
  return look;
}

/** Keep a look for the next visit. */
export function storeLook(storage: Pick<Storage, "setItem">, look: Look): void {
  storage.setItem(KEY, JSON.stringify(look));
}

/** Forget the look. */
export function forgetLook(storage: Pick<Storage, "removeItem">): void {
  storage.removeItem(KEY);
}

/** Return a colour as CSS and SVG write it. */
export function cssColor(color: number): string {
  return `#${color.toString(16).padStart(6, "0")}`;
}
