/** A point in the world. */
export interface Point3 {
  x: number;
  y: number;
  z: number;
}

/** A round thing that the camera must not look through. */
export interface Blocker {
  x: number;
  z: number;
  radius_m: number;
  topM: number;
}

const CLEARANCE_M = 0.35;
const MARCH_M = 0.5;

/**
 * The share of the way from the target to the wanted camera that is free: 1 if nothing is in between.
 *
 * @param heightAt height of the ground at a point.
 */
export function freeShare(
  target: Point3,
  wanted: Point3,
  blockers: readonly Blocker[],
  heightAt: (x: number, z: number) => number,
): number {
  let share = 1;
  for (const blocker of blockers) share = Math.min(share, entryShare(target, wanted, blocker));
  return groundShare(target, wanted, share, heightAt);
}

/** Where a line enters a cylinder; 1 if it does not, or if it begins inside. */
function entryShare(from: Point3, to: Point3, blocker: Blocker): number {
  const [dx, dz] = [to.x - from.x, to.z - from.z];
  const [fx, fz] = [from.x - blocker.x, from.z - blocker.z];
  const a = dx * dx + dz * dz;
  const b = fx * dx + fz * dz;
  const c = fx * fx + fz * fz - blocker.radius_m * blocker.radius_m;
  const discriminant = b * b - a * c;
  if (a < 1e-9 || c <= 0 || discriminant <= 0) return 1;
  const share = (-b - Math.sqrt(discriminant)) / a;
  if (share <= 0 || share >= 1) return 1;
  const y = from.y + (to.y - from.y) * share;
  return y < blocker.topM ? share : 1;
}

function groundShare(
  from: Point3,
  to: Point3,
  mostShare: number,
  heightAt: (x: number, z: number) => number,
): number {
  const length = Math.hypot(to.x - from.x, to.y - from.y, to.z - from.z);
  const steps = Math.max(1, Math.ceil((length * mostShare) / MARCH_M));
  let free = 0;
  for (let step = 1; step <= steps; step += 1) {
    const share = (mostShare * step) / steps;
    const ground = heightAt(from.x + (to.x - from.x) * share, from.z + (to.z - from.z) * share);
    if (from.y + (to.y - from.y) * share < ground + CLEARANCE_M) return free;
    free = share;
  }
  return mostShare;
}
