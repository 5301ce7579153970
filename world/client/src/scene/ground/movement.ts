/** Running speed that the gateway allows. */
export const RUN_M_PER_S = 6;
/** Walking speed. */
export const WALK_M_PER_S = 2;
/**
 * Half the width of a body. The gateway uses 0.35 m; one centimetre more keeps a position free after it was rounded to
 * centimetres for the network.
 */
export const BODY_M = 0.36;

/** Short enough that no step jumps over the smallest obstacle. */
const STEP_M = 0.15;
const ROUNDS = 3;

/** An obstacle on the ground. */
export interface Circle {
  x: number;
  z: number;
  radius_m: number;
}

/** Where players may be: within a radius of the centre, and outside all obstacles. */
export interface Ground {
  radius_m: number;
  obstacles: readonly Circle[];
}

/** A point on the ground. */
export interface Spot {
  x: number;
  z: number;
}

/** Say whether a body fits at a point. */
export function isFree(ground: Ground, spot: Spot, slackM = 1e-6): boolean {
  if (Math.hypot(spot.x, spot.z) > ground.radius_m + slackM) return false;
  return ground.obstacles.every(
    (circle) => Math.hypot(spot.x - circle.x, spot.z - circle.z) >= circle.radius_m + BODY_M - slackM,
  );
}

/** The nearest allowed point, by the gateway's rule: out of each obstacle in turn, then inside the bounds. */
export function nearestFree(ground: Ground, spot: Spot): Spot {
  let { x, z } = spot;
  for (const circle of ground.obstacles) {
    const least = circle.radius_m + BODY_M;
    let [dx, dz] = [x - circle.x, z - circle.z];
    let distance = Math.hypot(dx, dz);
    if (distance >= least) continue;
    if (distance === 0) [dx, dz, distance] = [0, 1, 1];
    x = circle.x + (dx / distance) * least;
    z = circle.z + (dz / distance) * least;
  }
  const distance = Math.hypot(x, z);
  if (distance <= ground.radius_m) return { x, z };
  return { x: (x / distance) * ground.radius_m, z: (z / distance) * ground.radius_m };
}

/**
 * Walk in a direction, sliding along what is in the way.
 *
 * A step that ends inside an obstacle even after sliding, as in a narrow gap, is not taken at all.
 */
export function walk(ground: Ground, from: Spot, direction: Spot, speedMPerS: number, seconds: number): Spot {
  const length = Math.hypot(direction.x, direction.z);
  if (length === 0) return from;
  const distanceM = speedMPerS * seconds;
  const steps = Math.max(1, Math.ceil(distanceM / STEP_M));
  const stepX = ((direction.x / length) * distanceM) / steps;
  const stepZ = ((direction.z / length) * distanceM) / steps;
  let at = from;
  for (let step = 0; step < steps; step += 1) {
    at = settle(ground, { x: at.x + stepX, z: at.z + stepZ }, at);
  }
  return at;
}

function settle(ground: Ground, wanted: Spot, before: Spot): Spot {
  let spot = wanted;
  for (let round = 0; round < ROUNDS; round += 1) {
    spot = nearestFree(ground, spot);
    if (isFree(ground, spot)) return spot;
  }
  return before;
}
