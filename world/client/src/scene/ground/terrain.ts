import { PLACES, placeOf } from "../core/places";
import { smoothstep } from "../core/numbers";

/** Height of the lake's surface. */
export const WATER_LEVEL_M = -0.25;
/** Where the lake's bed begins to fall, outside of which everything is dry. */
export const SHORE_RADIUS_M = 16.3;

const LAKE_DEPTH_M = 1.6;
const HILL = placeOf("hill");
const HILL_HEIGHT_M = HILL.height_m ?? 0;
const LAKE = PLACES.obstacles.find((found) => found.what === "lake") ?? { x: 0, z: 0 };
const FLAT = PLACES.places.filter((place) => place.id !== "hill");

/** Height of the ground; what is built in places stands on level ground. */
export function heightAt(x: number, z: number): number {
  return hillAt(x, z) + wavesAt(x, z) + lakeBedAt(x, z) + rimAt(x, z);
}

/** Height of the boards of piers. */
export const DECK_M = 0.18;
const DECKS = PLACES.obstacles.flatMap(({ walkways = [] }) => walkways);

/** Height of what one stands on: the ground, or the boards over it. */
export function footingAt(x: number, z: number): number {
  const ground = heightAt(x, z);
  for (const deck of DECKS) {
    const [dx, dz] = [deck.to_x - deck.x, deck.to_z - deck.z];
    const length = Math.hypot(dx, dz);
    const along = ((x - deck.x) * dx + (z - deck.z) * dz) / length;
    const across = Math.abs((x - deck.x) * dz - (z - deck.z) * dx) / length;
    if (across <= deck.width_m / 2 && along > -0.9 && along < length + 0.6) {
      return Math.max(ground, DECK_M * smoothstep(-0.9, 0.2, along));
    }
  }
  return ground;
}

/** A round hill with a top that is flat enough to stand and fly kites on. */
function hillAt(x: number, z: number): number {
  const share = Math.hypot(x - HILL.x, z - HILL.z) / HILL.radius_m;
  if (share >= 1) return 0;
  return HILL_HEIGHT_M * smoothstep(1, 0.14, share);
}

/** Gentle waves on the meadows, none inside places. */
function wavesAt(x: number, z: number): number {
  let share = smoothstep(0, 12, Math.hypot(x - HILL.x, z - HILL.z) - HILL.radius_m);
  for (const place of FLAT) {
    share *= smoothstep(-1, 12, Math.hypot(x - place.x, z - place.z) - place.radius_m);
    if (share === 0) return 0;
  }
  return share * (0.55 * Math.sin(x * 0.13 + 1) * Math.cos(z * 0.11) + 0.35 * Math.sin(x * 0.05 - z * 0.07));
}

function lakeBedAt(x: number, z: number): number {
  return -LAKE_DEPTH_M * smoothstep(SHORE_RADIUS_M, SHORE_RADIUS_M - 4, Math.hypot(x - LAKE.x, z - LAKE.z));
}

/** Beyond the reach of players the land rises, so that the world seems to lie in a valley. */
function rimAt(x: number, z: number): number {
  const distance = Math.hypot(x, z);
  const share = smoothstep(PLACES.radius_m + 1, PLACES.radius_m + 40, distance);
  return share * (9 + 4 * Math.sin(Math.atan2(x, z) * 7) + 2 * Math.sin(Math.atan2(x, z) * 17));
}
