import type { BufferGeometry } from "three";

/** A part of a geometry that is either drawn as a whole or not: its place in the index, and its longest side. */
export interface Shape {
  from: number;
  to: number;
  sizeM: number;
}

/** Where the shapes of a geometry end in its index, the largest first: for drawing only what is large enough to see. */
export interface Sizes {
  /** Largest extent of each shape in metres, falling. */
  metres: readonly number[];
  /** End of each shape in the index. */
  ends: readonly number[];
}

/** The index with the largest shapes first. */
export function sortBySize(indexes: readonly number[], shapes: readonly Shape[]): { indexes: number[]; sizes: Sizes } {
  const sorted = [...shapes].sort((a, b) => b.sizeM - a.sizeM);
  let end = 0;
  return {
    indexes: sorted.flatMap(({ from, to }) => indexes.slice(from, to)),
    sizes: { metres: sorted.map(({ sizeM }) => sizeM), ends: sorted.map(({ from, to }) => (end += to - from)) },
  };
}

/** The longest side of the box about the points from an index on. */
export function extent(positions: readonly number[], from: number): number {
  let most = 0;
  for (let axis = 0; axis < 3; axis += 1) {
    let [low, high] = [Infinity, -Infinity];
    for (let index = from + axis; index < positions.length; index += 3) {
      const at = positions[index] ?? 0;
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
    most = Math.max(most, high - low);
  }
  return most;
}

/** How much of the index holds the shapes of at least a size. */
export function drawCount(sizes: Sizes, leastM: number): number {
  let [low, high] = [0, sizes.metres.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sizes.metres[middle] ?? 0) >= leastM) low = middle + 1;
    else high = middle;
  }
  return sizes.ends[low - 1] ?? 0;
}

/** Draw only the shapes of a geometry that are at least so large. */
export function limitTo(geometry: BufferGeometry, leastM: number): void {
  const sizes = geometry.userData.sizes as Sizes | undefined;
  if (sizes) geometry.setDrawRange(0, drawCount(sizes, leastM));
}
