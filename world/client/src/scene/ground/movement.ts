import { clamp } from "../core/numbers";

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

/** A straight way from one point to another, on which nothing is in the way. */
export interface Walkway {
  x: number;
  z: number;
  to_x: number;
  to_z: number;
  width_m: number;
}

/** An obstacle on the ground; walkways may lead through it, as a pier through a lake. */
export interface Circle {
  x: number;
  z: number;
  radius_m: number;
  walkways?: readonly Walkway[];
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
    (circle) => Math.hypot(spot.x - circle.x, spot.z - circle.z) >= circle.radius_m + BODY_M - slackM
      || circle.walkways?.some((way) => distanceM(nearestOn(way, spot), spot) <= slackM),
  );
}

/** The nearest point at which a body is on a walkway. */
function nearestOn(way: Walkway, { x, z }: Spot): Spot {
  const [dx, dz] = [way.to_x - way.x, way.to_z - way.z];
  const length = Math.hypot(dx, dz);
  const [ax, az] = [dx / length, dz / length];
  const along = clamp((x - way.x) * ax + (z - way.z) * az, 0, length);
  const side = Math.max(0, way.width_m / 2 - BODY_M);
  const across = clamp((x - way.x) * az - (z - way.z) * ax, -side, side);
  return { x: way.x + ax * along + az * across, z: way.z + az * along - ax * across };
}

function distanceM(a: Spot, b: Spot): number {
  return Math.hypot(a.x - b.x, a.z - b.z);
}

/** The nearest allowed point, by the gateway's rule: out of each obstacle in turn, then inside the bounds. */
export function nearestFree(ground: Ground, spot: Spot): Spot {
  let { x, z } = spot;
  for (const circle of ground.obstacles) {
    if (Math.hypot(x - circle.x, z - circle.z) < circle.radius_m + BODY_M) ({ x, z } = outOf(circle, { x, z }));
  }
  const distance = Math.hypot(x, z);
  if (distance <= ground.radius_m) return { x, z };
  return { x: (x / distance) * ground.radius_m, z: (z / distance) * ground.radius_m };
}

/** The nearest point at the rim of an obstacle or on one of its walkways. */
function outOf(circle: Circle, spot: Spot): Spot {
  let [dx, dz] = [spot.x - circle.x, spot.z - circle.z];
  let distance = Math.hypot(dx, dz);
  if (distance === 0) [dx, dz, distance] = [0, 1, 1];
  const least = circle.radius_m + BODY_M;
  let best = { x: circle.x + (dx / distance) * least, z: circle.z + (dz / distance) * least };
  for (const way of circle.walkways ?? []) {
    const onWay = nearestOn(way, spot);
    if (distanceM(onWay, spot) < distanceM(best, spot)) best = onWay;
  }
  return best;
}

/**
 * Walk in a direction, sliding along what is in the way.
 *
 * A step that ends inside an obstacle even after sliding, as in a narrow gap, is not taken at all.
 */
export function walk(ground: Ground, from: Spot, direction: Spot, speedMPerS: number, seconds: number): Spot {
  const length = Math.hypot(direction.x, direction.z);
  if (length === 0) return from;
  const wayM = speedMPerS * seconds;
  const steps = Math.max(1, Math.ceil(wayM / STEP_M));
  const stepX = ((direction.x / length) * wayM) / steps;
  const stepZ = ((direction.z / length) * wayM) / steps;
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
