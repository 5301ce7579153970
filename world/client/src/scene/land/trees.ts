import type { MeshBuilder } from "../build/mesh-builder";
import { heightAt } from "../ground/terrain";
import { pathDistance } from "../ground/paths";
import { PLACES } from "../core/places";
import { seeded } from "../core/random";
import { PALETTE } from "../palette";
import { Site } from "./site";

/** A round tree with a crown of two or three balls. */
export function roundTree(site: Site, x: number, z: number, size = 1, dark: number = PALETTE.leafDark, light: number = PALETTE.leafLight): void {
  site.stand(x, z, x * 7 + z, (builder) => builder.within({ scale: size }, () => {
    trunk(builder, 1.7);
    builder.sway(0.35, 0.1).uneven(0.06).paint(dark, light);
    builder.ball(0, 2.75, 0, 1.5, 1.35, 1.5, { rows: 5, sides: 8, rough: 0.09 });
    builder.ball(0.75, 2.15, 0.45, 0.95, 0.85, 0.95, { rows: 4, sides: 7, rough: 0.09 });
    builder.ball(-0.7, 2.3, -0.35, 0.9, 0.8, 0.9, { rows: 4, sides: 7, rough: 0.09 });
    builder.sway(0).uneven(0.035);
  }));
  rooted(site, x, z, size);
}

/** A cherry tree in blossom. */
export function cherry(site: Site, x: number, z: number, size = 1): void {
  roundTree(site, x, z, size, PALETTE.blossom, PALETTE.blossomLight);
}

/** A fir tree of three cones. */
export function pine(site: Site, x: number, z: number, size = 1): void {
  site.stand(x, z, x * 3 + z, (builder) => builder.within({ scale: size }, () => {
    trunk(builder, 1);
    builder.sway(0.25, 0.05).uneven(0.06).paint(PALETTE.pineDark, PALETTE.pine);
    builder.tube(0, 0.9, 0, 1.45, 0.35, 1.5, 7).tube(0, 1.95, 0, 1.12, 0.2, 1.35, 7).tube(0, 2.95, 0, 0.78, 0, 1.45, 7);
    builder.sway(0).uneven(0.035);
  }));
  rooted(site, x, z, size);
}

/** A willow that hangs over the water. */
export function willow(site: Site, x: number, z: number, size = 1): void {
  site.stand(x, z, x + z, (builder) => builder.within({ scale: size }, () => {
    builder.paint(PALETTE.woodDark, PALETTE.wood).tube(0, 0, 0, 0.34, 0.2, 2.6, 6);
    builder.uneven(0.06).sway(0.3, 0.2).paint(PALETTE.leaf, PALETTE.willow).ball(0, 3.3, 0, 1.7, 1, 1.7, { rows: 4, sides: 9, rough: 0.08 });
    for (let strand = 0; strand < 13; strand += 1) {
      const angle = (strand / 13) * Math.PI * 2;
      const reach = 1.45 + (strand % 3) * 0.2;
      const long = 1.5 + ((strand * 5) % 4) * 0.22;
      builder.sway(0.2, 0.9).paint(PALETTE.willow, PALETTE.leaf);
      builder.tube(Math.sin(angle) * reach, 3.3 - long, Math.cos(angle) * reach, 0.1, 0.42, long, 4);
    }
    builder.sway(0).uneven(0.035);
  }));
  rooted(site, x, z, size);
}

/** A low round bush. */
export function bush(site: Site, x: number, z: number, size = 1, color: number = PALETTE.leafLight): void {
  site.stand(x, z, x, (builder) => {
    builder.sway(0.15).uneven(0.06).paint(PALETTE.leafDark, color);
    builder.ball(0, 0.3 * size, 0, 0.75 * size, 0.5 * size, 0.7 * size, { rows: 4, sides: 7, rough: 0.1 });
    builder.ball(0.5 * size, 0.2 * size, 0.2, 0.5 * size, 0.38 * size, 0.5 * size, { rows: 4, sides: 6, rough: 0.1 });
    builder.sway(0).uneven(0.035);
  });
  site.shade(x, z, 1.1 * size, 0.25);
}

function trunk(builder: MeshBuilder, height: number): void {
  builder.paint(PALETTE.woodDark, PALETTE.wood).tube(0, 0, 0, 0.3, 0.18, height, 6);
}

function rooted(site: Site, x: number, z: number, size: number): void {
  site.block(x, z, 0.3 * size);
  site.shade(x, z, 2.2 * size, 0.34);
}

/** One part of the woods; parts are culled one by one. */
export interface Grove {
  site: Site;
  /** 0 is shown always; higher numbers only with better quality. */
  rank: number;
}

const SECTORS = 10;

/** Trees on the meadows between the places, and a belt of woods at the rim of the world. */
export function groves(fineness: number): Grove[] {
  const random = seeded(314);
  const list: Grove[] = [];
  for (let rank = 0; rank < 2; rank += 1) {
    for (let sector = 0; sector < SECTORS; sector += 1) list.push({ site: new Site(400 + rank * SECTORS + sector, fineness), rank });
  }
  const taken: { x: number; z: number }[] = [];
  for (let tries = 0; tries < 2600 && taken.length < 190; tries += 1) {
    const angle = random() * Math.PI * 2;
    const isRim = taken.length % 3 !== 0;
    const distance = isRim ? 80 + random() * 40 : 24 + random() * 56;
    const [x, z] = [Math.sin(angle) * distance, Math.cos(angle) * distance];
    if (!isMeadow(x, z) || taken.some((tree) => Math.hypot(tree.x - x, tree.z - z) < 4)) continue;
    taken.push({ x, z });
    const rank = distance < 96 && taken.length % 9 < 6 ? 0 : taken.length % 2;
    const sector = Math.floor((angle / (Math.PI * 2)) * SECTORS);
    const grove = list[rank * SECTORS + sector];
    if (grove) plant(grove.site, x, z, random);
  }
  return list;
}

/** Away from paths and from the middle of all places. */
function isMeadow(x: number, z: number): boolean {
  if (pathDistance({ x, z }) < 2.4 || Math.hypot(x + 29, z + 15) < 7) return false;
  const stands = [...PLACES.portals, ...PLACES.web_portals];
  if (stands.some((portal) => Math.hypot(x - portal.x, z - portal.z) < 4.5)) return false;
  return PLACES.places.every((place) => {
    const clear = place.id === "cave" ? 13 : place.radius_m + (place.id === "plaza" ? 3 : 1);
    return Math.hypot(x - place.x, z - place.z) > clear;
  });
}

function plant(site: Site, x: number, z: number, random: () => number): void {
  const kind = random();
  const size = 0.85 + random() * 0.75;
  const grow = Math.hypot(x, z) > 80 ? 1.35 : 1;
  if (kind < 0.4) roundTree(site, x, z, size * grow);
  else if (kind < 0.72) pine(site, x, z, size * grow);
  else if (kind < 0.8) cherry(site, x, z, size);
  else if (kind < 0.86) roundTree(site, x, z, size, PALETTE.leaf, PALETTE.meadow);
  else bush(site, x, z, size + 0.3, heightAt(x, z) > 0.4 ? PALETTE.autumn : PALETTE.leafLight);
}
