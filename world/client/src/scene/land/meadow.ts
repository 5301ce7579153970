import { MeshBuilder } from "../build/mesh-builder";
import { heightAt, SHORE_RADIUS_M } from "../ground/terrain";
import { pathDistance } from "../ground/paths";
import { PLACES, placeOf } from "../core/places";
import { pick } from "../core/numbers";
import { seeded } from "../core/random";
import { PALETTE } from "../palette";
import { LAKE } from "./lake";

const FLOWERS = [PALETTE.cream, PALETTE.gold, PALETTE.blossom, PALETTE.white, PALETTE.crystal] as const;

/**
 * Grass that waves in the wind: much on the hill, tufts and wild flowers elsewhere.
 *
 * @param share share of the plants that the quality allows.
 */
export function meadow(share: number): MeshBuilder[] {
  const [hillGrass, wild] = [new MeshBuilder(900), new MeshBuilder(901)];
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
    const distance = 21.5 + random() * 70;
    const [x, z] = [Math.sin(angle) * distance, Math.cos(angle) * distance];
    if (!isWild(x, z)) continue;
    if (count % 5 === 0) flower(wild, x, z, pick(FLOWERS, count / 5));
    else tuft(wild, x, z, 0.28 + random() * 0.35, random);
  }
  return [hillGrass, wild];
}

function isWild(x: number, z: number): boolean {
  if (pathDistance({ x, z }) < 0.35 || Math.hypot(x - LAKE.x, z - LAKE.z) < SHORE_RADIUS_M + 0.9) return false;
  return PLACES.places.every((place) => {
    const clear = place.id === "market" ? 13 : place.id === "plaza" ? 21.3 : place.id === "library" ? 10 : 7;
    return Math.hypot(x - place.x, z - place.z) > clear;
  });
}

function tuft(builder: MeshBuilder, x: number, z: number, tall: number, random: () => number): void {
  builder.within({ x, y: heightAt(x, z) - 0.04, z, turn: random() * 6 }, () => {
    builder.sway(1).paint(PALETTE.grassDark, random() < 0.5 ? PALETTE.meadow : PALETTE.grassLight);
    for (const [across, lean, share] of [[-0.09, -0.16, 0.8], [0, 0.04, 1], [0.1, 0.2, 0.7]] as const) {
      const tip = { x: across + lean * tall, y: tall * share, z: lean * 0.4, up: 1 };
      const [left, right] = [{ x: across - 0.055, y: 0, z: 0, up: 0 }, { x: across + 0.055, y: 0, z: 0, up: 0 }];
      builder.face([left, right, tip]).face([right, left, tip]);
    }
    builder.sway(0);
  });
}

function flower(builder: MeshBuilder, x: number, z: number, color: number): void {
  builder.within({ x, y: heightAt(x, z), z, turn: x * 5 }, () => {
    builder.sway(0.6).paint(PALETTE.leafDark, PALETTE.leafLight).tube(0, 0, 0, 0.05, 0.02, 0.34, 3);
    builder.sway(0.6, 0.6).paint(color).tube(0, 0.32, 0, 0.04, 0.13, 0.09, 5).sway(0);
  });
}
