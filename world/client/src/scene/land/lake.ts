import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { seeded } from "../core/random";
import { DECK_M, footingAt, SHORE_RADIUS_M, WATER_LEVEL_M } from "../ground/terrain";
import { cherry, willow } from "./trees";
import { Site } from "./site";

/** The middle of the water. */
export const LAKE = { x: 0, z: 62 } as const;
/** Radius of the sheet of water; its rim lies under the shore. */
export const LAKE_RADIUS_M = SHORE_RADIUS_M - 0.3;

const TURN = Math.PI * 2;

/** A calm lake with a landing stage, rowing boats, reeds, water lilies and benches. */
export function lake(fineness: number): Site {
  const site = new Site(303, fineness);
  pier(site);
  reeds(site);
  lilies(site);
  shore(site);
  for (const [x, z, turn] of [[3.1, 51.2, 0.25], [-6.8, 53.5, 1.2], [7.5, 63, -0.7]] as const) boat(site, x, z, turn);
  for (let count = 0; count < 22; count += 1) {
    const angle = count * 2.4;
    const distance = 8 + ((count * 0.618) % 1) * 14;
    site.glows.push({
      x: LAKE.x + Math.sin(angle) * distance, y: 0.9, z: LAKE.z + Math.cos(angle) * distance, color: 0xd8ff9a, sizeM: 0.45,
      wanderM: 1.6,
    });
  }
  return site;
}

/** The landing stage: a deck that reaches out over the water, with a wide head at its end. */
function pier(site: Site): void {
  const { builder } = site;
  const plank = (index: number): MeshBuilder => builder.paint(index % 3 ? PALETTE.woodLight : PALETTE.wood);
  for (let index = 0; index < 24; index += 1) {
    const z = 43.6 + index * 0.5;
    const top = Math.max(footingAt(0, z), 0.1);
    // The first planks are steps that stand on the ground, so that no gap shows below them.
    const bottom = z < 45 ? 0 : top - 0.08;
    plank(index).box(0, bottom, z, 2.6, top - bottom, z < 45 ? 0.5 : 0.45);
  }
  for (let index = 0; index < 12; index += 1) plank(index + 1).box(-2.75 + index * 0.5, DECK_M - 0.08, 57, 0.44, 0.08, 3.2);
  for (const [x, z] of [[1.25, 46.4], [1.25, 49.6], [1.25, 52.8], [1.25, 55.4], [2.95, 55.5], [2.95, 58.5]] as const) {
    for (const side of [-x, x]) {
      builder.paint(PALETTE.woodDark).tube(side, -1.6, z, 0.13, 0.12, 2.45, 6);
      builder.paint(PALETTE.cream).tube(side, 0.62, z, 0.15, 0.15, 0.12, 6);
    }
  }
  for (const x of [-1.25, 1.25]) {
    for (const z of [46.4, 49.6]) builder.paint(PALETTE.cream).rod([x, 0.7, z], [x, 0.7, z + 3.3], 0.03);
  }
  for (const [x, z] of [[-2.95, 55.5], [2.95, 55.5], [-2.95, 58.5], [2.95, 58.5]] as const) {
    builder.paint(PALETTE.woodDark).tube(x, 0.7, z, 0.05, 0.05, 1, 5);
    builder.shine(PALETTE.lantern, 1, PALETTE.cream).tube(x, 1.65, z, 0.18, 0.18, 0.36, 6);
    builder.paint(PALETTE.roofTile).tube(x, 2.01, z, 0.26, 0, 0.16, 6);
    site.glows.push({ x, y: 1.8, z, color: PALETTE.lantern, sizeM: 2.4 });
  }
  for (const [x, z] of [[-2.4, 43.4], [2.4, 43.4], [-9.5, 46], [9.5, 46]] as const) site.lamp(x, z);
}

function boat(site: Site, x: number, z: number, turn: number): void {
  const builder = new MeshBuilder(x * 3 + 50, site.fineness);
  const hull = (half: number, y: number, long: number): { x: number; y: number; z: number; up: number }[] =>
    [[0, 1], [half, 0.45], [half, -0.55], [half * 0.6, -0.95], [-half * 0.6, -0.95], [-half, -0.55], [-half, 0.45]]
      .map(([across = 0, along = 0]) => ({ x: across, y, z: along * long, up: y > 0.1 ? 1 : 0 })).reverse();
  builder.paint(PALETTE.woodDark, PALETTE.wood).rings([hull(0.42, -0.15, 1.3).reverse(), hull(0.72, 0.42, 1.75).reverse()], false);
  builder.paint(PALETTE.woodDark).rings([hull(0.64, 0.42, 1.62), hull(0.4, 0.02, 1.25)], false);
  builder.paint(PALETTE.woodLight).face(hull(0.4, 0.02, 1.25).reverse());
  builder.paint(x > 4 ? PALETTE.roofRed : PALETTE.roofBlue).rings([hull(0.72, 0.42, 1.75).reverse(), hull(0.75, 0.52, 1.8).reverse()], false);
  builder.paint(PALETTE.cream).rings([hull(0.75, 0.52, 1.8).reverse(), hull(0.64, 0.52, 1.62).reverse()], false);
  for (const along of [-0.75, 0.25]) builder.paint(PALETTE.woodLight).box(0, 0.28, along, 1.24, 0.07, 0.34);
  for (const side of [-1, 1]) {
    builder.paint(PALETTE.woodLight).rod([side * 0.5, 0.62, 0.1], [side * 1.75, 0.02, -0.5], 0.035);
    builder.within({ x: side * 1.75, y: 0.02, z: -0.5, turn: side * 0.4 }, () => builder.box(side * 0.15, -0.06, 0, 0.42, 0.05, 0.16));
  }
  builder.paint(PALETTE.woodDark).tube(0, 0.4, 1.5, 0.03, 0.03, 0.55, 4);
  builder.shine(PALETTE.lantern, 1, PALETTE.cream).tube(0, 0.92, 1.5, 0.12, 0.12, 0.24, 6);
  site.glows.push({ x: x + Math.sin(turn) * 1.5, y: 1, z: z + Math.cos(turn) * 1.5, color: PALETTE.lantern, sizeM: 1.5 });
  site.movers.push({
    builder, x, y: WATER_LEVEL_M, z, turn,
    move: (mesh, timeS) => {
      mesh.position.y = WATER_LEVEL_M + Math.sin(timeS * 0.9 + x) * 0.035;
      mesh.rotation.z = Math.sin(timeS * 0.8 + z) * 0.04;
    },
  });
}

function reeds(site: Site): void {
  const random = seeded(61);
  const builder = site.detail;
  for (const [center, spread, count] of [[2.3, 0.22, 26], [4.05, 0.22, 26], [0.6, 0.5, 30], [-0.9, 0.5, 30], [1.7, 0.3, 16], [-1.7, 0.3, 16]] as const) {
    for (let reed = 0; reed < count; reed += 1) {
      const angle = center + (random() + random() - 1) * spread;
      const distance = LAKE_RADIUS_M - 0.5 - random() * 2.2;
      const tall = 0.9 + random() * 0.9;
      const where = { x: LAKE.x + Math.sin(angle) * distance, y: -0.5, z: LAKE.z + Math.cos(angle) * distance, turn: random() * 6 };
      builder.within(where, () => {
        builder.sway(0.8).paint(PALETTE.leafDark, PALETTE.reed).tube(0, 0, 0, 0.06, 0.01, tall, 3);
        builder.within({ roll: 0.25 }, () => builder.tube(0, 0, 0, 0.06, 0.01, tall * 0.8, 3));
        if (reed % 3 === 0) builder.sway(0.8, 0.7).paint(PALETTE.woodDark).tube(0, tall * 0.82, 0, 0.06, 0.05, 0.28, 5);
        builder.sway(0);
      });
    }
  }
}

function lilies(site: Site): void {
  const random = seeded(62);
  for (let lily = 0; lily < 26; lily += 1) {
    const angle = lily % 2 ? -1.2 + random() * 0.9 : 0.7 + random() * 1.2;
    const distance = 8.5 + random() * 5;
    const [x, z] = [LAKE.x + Math.sin(angle) * distance, LAKE.z + Math.cos(angle) * distance];
    site.detail.within({ x, y: WATER_LEVEL_M + 0.02, z, turn: random() * 6 }, () => {
      const size = 0.35 + random() * 0.35;
      site.detail.paint(lily % 3 ? PALETTE.leaf : PALETTE.leafLight).ring(0, 0, 0, 0, size, 9, 0.04, 0.94);
      if (lily % 4 === 0) {
        site.detail.shine(PALETTE.blossom, 0.35, PALETTE.cream).tube(0.1, 0.01, 0, 0.06, 0.2, 0.14, 6).tube(0.1, 0.05, 0, 0.03, 0.1, 0.16, 5);
      }
    });
  }
}

/** Willows, stones and quiet benches about the water. */
function shore(site: Site): void {
  for (const [degrees, size] of [[206, 1.15], [152, 1.1], [95, 1.2], [262, 1.2], [20, 1.25], [330, 1.1]] as const) {
    const angle = (degrees / 360) * TURN;
    willow(site, LAKE.x + Math.sin(angle) * 22.3, LAKE.z + Math.cos(angle) * 22.3, size);
  }
  cherry(site, -13.5, 41.5, 1.1);
  cherry(site, 14.5, 42.5, 1);
  for (const degrees of [5, 70, 125, 165, 195, 238, 300]) {
    const angle = (degrees / 360) * TURN;
    site.bench(LAKE.x + Math.sin(angle) * 21.2, LAKE.z + Math.cos(angle) * 21.2, angle + Math.PI);
  }
  const random = seeded(63);
  for (let stone = 0; stone < 34; stone += 1) {
    const angle = random() * TURN;
    if (Math.cos(angle) < -0.985) continue;
    const distance = LAKE_RADIUS_M + 0.1 - random() * 0.8;
    const size = 0.2 + random() * 0.4;
    site.detail.paint(PALETTE.rockDark, PALETTE.stone);
    site.detail.ball(LAKE.x + Math.sin(angle) * distance, -0.2, LAKE.z + Math.cos(angle) * distance, size, size * 0.7, size, { rows: 4, sides: 6, rough: 0.15 });
  }
  for (let clump = 0; clump < 14; clump += 1) {
    const angle = (clump / 14) * TURN + 0.2;
    site.flowers(LAKE.x + Math.sin(angle) * 17.4, LAKE.z + Math.cos(angle) * 17.4, [PALETTE.roofPlum, PALETTE.lanternBlue, PALETTE.cream], 4, 0.4);
  }
}
