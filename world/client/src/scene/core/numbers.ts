/** Keep a number between two others. */
export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** Go a share of the way from one number to another. */
export function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

/** 0 before the first edge, 1 after the second, and a soft step in between; the edges may fall. */
export function smoothstep(edge0: number, edge1: number, value: number): number {
  const share = clamp((value - edge0) / (edge1 - edge0), 0, 1);
  return share * share * (3 - 2 * share);
}

/** An item of a list that is not empty; indexes outside wrap around. */
export function pick<T>(list: readonly T[], index: number): T {
  const whole = Math.trunc(Number.isFinite(index) ? index : 0);
  const item = list[((whole % list.length) + list.length) % list.length];
  if (item === undefined) throw new RangeError("cannot pick from an empty list");
  return item;
}
