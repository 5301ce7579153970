import { Vector3 } from "three";
import type { Corner, ProfilePoint } from "./mesh-builder";

/** Whether all corners of a ring fall together, as at the poles of a ball. */
export function isPoint(ring: readonly Corner[] | undefined): boolean {
  const [first, second] = ring ?? [];
  return !first || !second || Math.abs(first.x - second.x) + Math.abs(first.z - second.z) < 1e-6;
}

/** Normals of a turned shape: outwards, and up or down as the profile slopes. */
export function addRadialNormals(ring: readonly Corner[], x: number, z: number, profile: readonly ProfilePoint[], row: number): void {
  const [before, after] = [profile[Math.max(row - 1, 0)], profile[Math.min(row + 1, profile.length - 1)]];
  const rise = (after?.[1] ?? 0) - (before?.[1] ?? 0);
  const slope = rise === 0 ? 0 : ((before?.[0] ?? 0) - (after?.[0] ?? 0)) / rise;
  ring.forEach((corner, side) => {
    const angle = ((side + 0.5) / ring.length) * Math.PI * 2;
    const [dx, dz] = isPoint(ring) ? [Math.sin(angle), Math.cos(angle)] : [corner.x - x, corner.z - z];
    const length = Math.hypot(dx, dz);
    corner.normal = new Vector3(dx / length, slope, dz / length).normalize();
  });
}

/** The normal of a flat face, or null if it has no area. */
export function flatNormal(points: readonly Vector3[]): Vector3 | null {
  const normal = new Vector3();
  const side = new Vector3();
  const [start] = points;
  for (let index = 1; start && index + 1 < points.length; index += 1) {
    const [a, b] = [points[index], points[index + 1]];
    if (a && b) normal.add(side.subVectors(a, start).cross(new Vector3().subVectors(b, start)));
  }
  return normal.lengthSq() < 1e-12 ? null : normal.normalize();
}
