import type { Point } from "../core/places";

/** A path on the ground, as the corners of a line. */
export interface Path {
  widthM: number;
  points: readonly (readonly [x: number, z: number])[];
}

/** All paths: from the plaza to every place, round the lake, and up the hill. */
export const PATHS: readonly Path[] = [
  { widthM: 3.6, points: [[0, 20], [0.8, 28], [-0.6, 35], [0, 42]] },
  { widthM: 3.6, points: [[-20, 0], [-29, 1.2], [-38, -0.8], [-52, 0]] },
  { widthM: 3.6, points: [[20, 0], [29, -1.2], [38, 0.8], [70, 0]] },
  { widthM: 3.4, points: [[0, -20], [-0.8, -28], [1, -38], [5, -46], [1, -54], [0, -60]] },
  { widthM: 3, points: [[14, -15], [24, -24], [34, -30], [41, -34.5], [44.2, -37.6], [45.2, -43], [46, -48]] },
  { widthM: 2.4, points: [[-0.8, -29], [-12, -37], [-22, -45], [-31, -50], [-37, -55]] },
  { widthM: 2.2, points: [[-46, -2], [-45, -20], [-40, -36], [-34, -50]] },
  { widthM: 2.2, points: [[45, 1], [50, -16], [50, -30], [44.7, -38.8]] },
  { widthM: 2.2, points: circle(0, 62, 19.4) },
  { widthM: 2, points: [[57, -4], [57, 4], [63, 4], [63, -4], [57, -4]] },
];

/** Distance from a point to the middle of the nearest path, less half its width. */
export function pathDistance({ x, z }: Point): number {
  let nearest = Infinity;
  for (const path of PATHS) {
    path.points.forEach(([x1, z1], index) => {
      const next = path.points[index + 1];
      if (!next) return;
      nearest = Math.min(nearest, segmentDistance(x, z, x1, z1, next[0], next[1]) - path.widthM / 2);
    });
  }
  return nearest;
}

function segmentDistance(x: number, z: number, x1: number, z1: number, x2: number, z2: number): number {
  const [dx, dz] = [x2 - x1, z2 - z1];
  const share = Math.min(1, Math.max(0, ((x - x1) * dx + (z - z1) * dz) / (dx * dx + dz * dz)));
  return Math.hypot(x - x1 - dx * share, z - z1 - dz * share);
}

function circle(x: number, z: number, radiusM: number): [number, number][] {
  return Array.from({ length: 33 }, (_, index) => {
    const angle = (index / 32) * Math.PI * 2;
    return [x + Math.sin(angle) * radiusM, z + Math.cos(angle) * radiusM];
  });
}
