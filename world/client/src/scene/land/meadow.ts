import { Vector3 } from "three";
import { MeshBuilder, type Corner } from "../build/mesh-builder";
import { heightAt, SHORE_RADIUS_M } from "../ground/terrain";
import { pathDistance } from "../ground/paths";
import { PLACES, placeOf } from "../core/places";
import { pick } from "../core/numbers";
import { seeded } from "../core/random";
import { PALETTE } from "../palette";
import { LAKE } from "./lake";
import { blossom } from "./site";

const FLOWERS = [PALETTE.cream, PALETTE.gold, PALETTE.blossom, PALETTE.white, PALETTE.crystal] as const;

/** The meadows are cut like a cake, and in rings, so that only what is near has to be drawn. */
const SECTORS = 8;
const RINGS = 3;
const NEAREST_M = 21.5;
const REACH_M = 70;

/**
 * Grass that waves in the wind: much on the hill, tufts and wild flowers elsewhere.
 *
 * @param share share of the plants that the quality allows.
 */
export function meadow(share: number): MeshBuilder[] {
  const hillGrass = new MeshBuilder(900);
  const wild = Array.from({ length: SECTORS * RINGS }, (_, sector) => new MeshBuilder(901 + sector));
  const random = seeded(99);
  const hill = placeOf("hill");
  for (let count = 0; count < 2100 * share; count += 1) {
    const angle = random() * Math.PI * 2;
    const distance = Math.sqrt(random()) * hill.radius_m;
    const [x, z] = [hill.x + Math.sin(angle) * distance, hill.z + Math.cos(angle) * distance];
    if (pathDistance({ x, z }) > 0.3) tuft(hillGrass, x, z, 0.55 + random() * 0.5, random);
  }
  for (let count = 0; count < 2400 * share; count += 1) {
    const angle = random() * Math.PI * 2;
    const distance = NEAREST_M + random() * REACH_M;
    const [x, z] = [Math.sin(angle) * distance, Math.cos(angle) * distance];
    if (!isWild(x, z)) continue;
    const ring = Math.min(RINGS - 1, Math.floor(((distance - NEAREST_M) / REACH_M) * RINGS));
    const builder = pick(wild, ring * SECTORS + Math.floor((angle / (Math.PI * 2)) * SECTORS));
    if (count % 5 === 0) flower(builder, x, z, pick(FLOWERS, count / 5));
    else tuft(builder, x, z, 0.28 + random() * 0.35, random);
  }
  return [hillGrass, ...wild].filter((builder) => !builder.isEmpty);
}

function isWild(x: number, z: number): boolean {
  if (pathDistance({ x, z }) < 0.35 || Math.hypot(x - LAKE.x, z - LAKE.z) < SHORE_RADIUS_M + 0.9) return false;
  return PLACES.places.every((place) => {
    const clear = place.id === "market" ? 13 : place.id === "plaza" ? 21.3 : place.id === "library" ? 10 : 7;
    return Math.hypot(x - place.x, z - place.z) > clear;
  });
}

/** Blades are lit like the ground that they grow from, so that they do not stand out as dark spikes. */
const UP = new Vector3(0, 1, 0);

function tuft(builder: MeshBuilder, x: number, z: number, tall: number, random: () => number): void {
  builder.within({ x, y: heightAt(x, z) - 0.04, z, turn: random() * 6 }, () => {
    builder.sway(1).paint(PALETTE.grass, random() < 0.5 ? PALETTE.meadow : PALETTE.grassLight);
    for (const [across, lean, share] of [[-0.09, -0.16, 0.8], [0, 0.04, 1], [0.1, 0.2, 0.7]] as const) {
      const tip: Corner = { x: across + lean * tall, y: tall * share, z: lean * 0.4, up: 1, normal: UP };
      const left: Corner = { x: across - 0.05, y: 0, z: 0, up: 0, normal: UP };
      builder.face([left, { ...left, x: across + 0.05 }, tip]).face([{ ...left, x: across + 0.05 }, left, tip]);
    }
    builder.sway(0);
  });
}

function flower(builder: MeshBuilder, x: number, z: number, color: number): void {
  builder.within({ x, y: heightAt(x, z), z, turn: x * 5, scale: 1.25 }, () => blossom(builder, 0.22, color));
}
