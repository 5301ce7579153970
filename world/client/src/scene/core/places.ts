import file from "../../../../places.json";
import type { Circle } from "../ground/movement";

/** A named place. */
export interface Place {
  id: string;
  ko: string;
  en: string;
  x: number;
  z: number;
  radius_m: number;
  height_m?: number;
}

/** A door to another place. */
export interface Portal {
  from: string;
  to: string;
  x: number;
  z: number;
  arrive_x: number;
  arrive_z: number;
  arrive_yaw_deg: number;
}

/** Where a bot stands. */
export interface BotStand {
  bot: string;
  place: string;
  x: number;
  z: number;
  yaw_deg: number;
}

/** Something that nobody can walk through, but on its walkways. */
export interface Obstacle extends Circle {
  what: string;
}

/** A point on the ground; x grows to the east, z to the south. */
export interface Point {
  x: number;
  z: number;
}

interface Places {
  radius_m: number;
  places: readonly Place[];
  portals: readonly Portal[];
  web_portals: readonly (Point & { place: string })[];
  bots: readonly BotStand[];
  obstacles: readonly Obstacle[];
}

/** The file that the gateway reads as well. */
export const PLACES: Places = file;

/** The place with an id. */
export function placeOf(id: string): Place {
  const found = PLACES.places.find((place) => place.id === id);
  if (!found) throw new Error(`places.json has no place ${id}`);
  return found;
}

/** The innermost place at a point, or null on the meadows between them. */
export function placeAt(x: number, z: number): string | null {
  let best: string | null = null;
  let bestShare = 1;
  for (const place of PLACES.places) {
    const share = Math.hypot(x - place.x, z - place.z) / place.radius_m;
    if (share < bestShare) [best, bestShare] = [place.id, share];
  }
  return best;
}

/** The direction in which who arrives at a point shall look, in radians, or null if no portal leads there. */
export function arrivalAngle(x: number, z: number): number | null {
  const portal = PLACES.portals.find((found) => Math.hypot(found.arrive_x - x, found.arrive_z - z) < 0.1);
  return portal ? (portal.arrive_yaw_deg / 180) * Math.PI : null;
}
