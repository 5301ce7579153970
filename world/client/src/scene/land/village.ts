import type { MeshBuilder } from "../build/mesh-builder";
import { heightAt } from "../ground/terrain";
import { PALETTE } from "../palette";
import { bush, cherry, roundTree } from "./trees";
import { Site } from "./site";

const FLOWERS = [PALETTE.blossom, PALETTE.gold, PALETTE.cream, PALETTE.lanternBlue, PALETTE.lanternRed] as const;
const MIDDLE = { x: 46, z: -47 } as const;
/** The arch over the way in, between where players arrive and the sprout. */
export const ARCH = { x: 44.75, z: -40.2, turn: -0.18, halfM: 2 } as const;

/** Small houses for newcomers, a flower path, picket fences and a great sprout in the middle. */
export function village(fineness: number): Site {
  const site = new Site(606, fineness);
  house(site, 40, -53, Math.PI * 0.22, PALETTE.roofRed);
  house(site, 52, -53, -Math.PI * 0.2, PALETTE.roofBlue);
  house(site, 54, -44, -Math.PI * 0.55, PALETTE.roofPlum);
  sprout(site);
  flowerPath(site);
  arch(site);
  for (const [x, z] of [[41.5, -43.2], [50.3, -40.6], [44, -55], [56.5, -49]] as const) site.lamp(x, z);
  for (const [x, z, turn] of [[41.2, -46.6, 1.2], [49.4, -49.4, -2.4]] as const) site.bench(x, z, turn);
  cherry(site, 36.5, -48, 1.15);
  cherry(site, 46, -58, 1.25);
  roundTree(site, 58.5, -53.5, 1.2);
  for (const [x, z] of [[38.2, -50], [43.4, -53.5], [49.6, -55], [55.2, -50.6], [56.8, -41.6]] as const) bush(site, x, z, 0.9, PALETTE.leafLight);
  return site;
}

function house(site: Site, x: number, z: number, turn: number, roof: number): void {
  site.stand(x, z, turn, (builder) => {
    builder.paint(PALETTE.stoneDark).box(0, 0, 0, 4.1, 0.25, 3.7);
    builder.paint(PALETTE.wallWarm, PALETTE.wall).box(0, 0.25, 0, 3.7, 2.3, 3.3);
    for (const side of [-1.82, 1.82]) builder.paint(PALETTE.wood).box(side, 0.25, 1.62, 0.16, 2.3, 0.16).box(side, 0.25, -1.62, 0.16, 2.3, 0.16);
    builder.paint(roof, roof).within({ y: 2.45, turn: Math.PI / 2 }, () => builder.gable(0, 0, 0, 4.3, 2.1, 4.7));
    builder.paint(PALETTE.wall).within({ y: 2.46, z: 1.64 }, () => builder.taper(0, 0, 0, 3.5, 0.04, 1.5, 0.3, 0.04));
    builder.paint(PALETTE.brick).box(1, 3.2, -0.6, 0.5, 1.5, 0.5).paint(PALETTE.stone).box(1, 4.65, -0.6, 0.62, 0.14, 0.62);
    door(builder, roof);
    for (const across of [-1.15, 1.15]) houseWindow(builder, across, 1.68);
    for (const side of [-1, 1]) builder.within({ turn: (side * Math.PI) / 2 }, () => houseWindow(builder, 0, 1.88));
    builder.shine(PALETTE.window, 1).within({ y: 3.2, z: 1.68, tilt: Math.PI / 2 }, () => builder.tube(0, 0, 0, 0.3, 0.3, 0.06, 8));
  });
  site.strew(x, z, turn, (builder) => {
    for (const across of [-1.15, 1.15]) flowerBox(builder, across, 1.68);
    for (const side of [-1, 1]) builder.within({ turn: (side * Math.PI) / 2 }, () => flowerBox(builder, 0, 1.88));
  });
  const [sx, sz] = [Math.sin(turn), Math.cos(turn)];
  site.glows.push({ x: x + sx * 2, y: 1.6, z: z + sz * 2, color: PALETTE.window, sizeM: 3.4 });
  site.pools.push({ x: x + sx * 3.2, z: z + sz * 3.2, radiusM: 3.4, color: PALETTE.window, strength: 0.4 });
  for (const across of [-1.25, 1.25]) {
    site.flowers(x + sx * 2.35 + sz * across, z + sz * 2.35 - sx * across, FLOWERS, 7, 0.5);
  }
  site.shade(x, z, 4, 0.42);
  site.blockers.push({ x, z, radius_m: 2.4, topM: 4.5 });
}

function door(builder: MeshBuilder, color: number): void {
  builder.paint(PALETTE.wood).box(0, 0.25, 1.66, 1.02, 1.85, 0.1);
  builder.paint(color).box(0, 0.25, 1.7, 0.84, 1.7, 0.1);
  builder.shine(PALETTE.gold, 0.4).ball(0.28, 1.05, 1.77, 0.06, 0.06, 0.06, { rows: 3, sides: 5 });
  builder.shine(PALETTE.window, 1).box(0, 1.45, 1.72, 0.4, 0.34, 0.08);
  builder.paint(PALETTE.stone).box(0, 0, 2, 1.3, 0.16, 0.7);
  builder.shine(PALETTE.lantern, 1).ball(0, 2.3, 1.82, 0.14, 0.17, 0.14, { rows: 4, sides: 6 });
}

function houseWindow(builder: MeshBuilder, x: number, z: number): void {
  builder.paint(PALETTE.wood).box(x, 0.95, z, 0.86, 0.96, 0.07);
  builder.shine(PALETTE.window, 1, PALETTE.cream).box(x, 1.03, z + 0.03, 0.7, 0.8, 0.06);
  builder.paint(PALETTE.wood).box(x, 1.03, z + 0.05, 0.06, 0.8, 0.05).box(x, 1.4, z + 0.05, 0.7, 0.06, 0.05);
}

/** A box of flowers under a window. */
function flowerBox(builder: MeshBuilder, x: number, z: number): void {
  builder.paint(PALETTE.woodLight).box(x, 0.74, z + 0.14, 0.95, 0.22, 0.3);
  for (let flower = 0; flower < 4; flower += 1) {
    builder.paint(FLOWERS[flower] ?? PALETTE.cream).ball(x - 0.33 + flower * 0.22, 1, z + 0.15, 0.11, 0.1, 0.11, { rows: 3, sides: 5 });
  }
}

/** The village's sign: a sprout higher than the houses, on a little mound. */
function sprout(site: Site): void {
  site.stand(MIDDLE.x, MIDDLE.z, 0.5, (builder) => {
    builder.paint(PALETTE.stoneDark, PALETTE.stone).lathe(0, 0, 0, [[1.35, 0], [1.4, 0.35], [1.15, 0.38]], 9, false);
    builder.paint(PALETTE.soil).ball(0, 0.25, 0, 1.18, 0.4, 1.18, { rows: 4, sides: 9 });
    builder.within({ y: 0.4, scale: 2.35 }, () => {
      builder.sway(0.2).paint(PALETTE.leafDark, PALETTE.leafLight).tube(0, 0, 0, 0.17, 0.11, 1.75, 7);
      for (const side of [-1, 1]) {
        builder.sway(0.3, 0.2).paint(PALETTE.leaf, 0xb9e88a).within({ y: 1.65, roll: side * -0.85, x: side * 0.08 }, () => {
          builder.ball(0, 0.85, 0, 0.55, 0.95, 0.13, { rows: 6, sides: 9 });
        });
      }
      builder.sway(0);
    });
  });
  site.block(MIDDLE.x, MIDDLE.z, 1.35);
  site.shade(MIDDLE.x, MIDDLE.z, 2.2);
  site.flowers(MIDDLE.x, MIDDLE.z + 1.9, FLOWERS, 6, 0.4);
  site.flowers(MIDDLE.x - 1.8, MIDDLE.z - 0.6, FLOWERS, 6, 0.4);
  site.flowers(MIDDLE.x + 1.8, MIDDLE.z - 0.6, FLOWERS, 6, 0.4);
}

/** Flowers and picket fences on both sides of the way in; before the arch, only on the side that hides no one. */
function flowerPath(site: Site): void {
  const way = [[31.5, -28.5], [37.5, -32.2], [41, -34.6], [43, -36.8]] as const;
  way.forEach(([x1, z1], index) => {
    const next = way[index + 1];
    if (!next) return;
    const length = Math.hypot(next[0] - x1, next[1] - z1);
    const [dx, dz] = [(next[0] - x1) / length, (next[1] - z1) / length];
    const steps = Math.round(length / 0.95);
    for (let step = 0; step <= steps; step += 1) {
      const [x, z] = [x1 + (dx * length * step) / steps, z1 + (dz * length * step) / steps];
      for (const side of index ? [2.3] : [-2.3, 2.3]) {
        site.flowers(x + dz * side, z - dx * side, FLOWERS, 5, 0.55);
        picket(site, x + dz * side * 1.32, z - dx * side * 1.32, Math.atan2(dx, dz), step < steps ? length / steps : 0);
      }
    }
  });
}

/** A pale of a fence, with rails to the next one so far away; none if that is 0. */
function picket(site: Site, x: number, z: number, turn: number, gapM: number): void {
  const rise = heightAt(x + Math.sin(turn) * gapM, z + Math.cos(turn) * gapM) - heightAt(x, z);
  site.strew(x, z, turn, (builder) => {
    builder.open(0.4).paint(PALETTE.cream).lathe(0, -0.05, 0, [[0.085, 0], [0.085, 0.75], [0, 0.9]], 4, false);
    if (gapM) for (const up of [0.24, 0.55]) builder.rod([0, up, 0], [0, up + rise, gapM], 0.045, 3);
    builder.open(0);
  });
}

/** An arch of leaves and flowers. */
function arch(site: Site): void {
  const { x, z, turn, halfM } = ARCH;
  site.stand(x, z, turn, (builder) => {
    for (let step = 0; step <= 12; step += 1) {
      const angle = (step / 12) * Math.PI;
      const [ax, ay] = [Math.cos(angle) * halfM, 1.35 + Math.sin(angle) * 1.45];
      builder.sway(0.1, 0.1).uneven(0.07).paint(PALETTE.leafDark, PALETTE.leafLight);
      builder.ball(ax, ay, 0, 0.42, 0.4, 0.38, { rows: 4, sides: 6, rough: 0.12 });
    }
    builder.sway(0).uneven(0.035);
    for (const side of [-halfM, halfM]) builder.paint(PALETTE.leafDark, PALETTE.leaf).tube(side, 0, 0, 0.3, 0.26, 1.4, 6);
  });
  site.strew(x, z, turn, (builder) => {
    for (let step = 0; step <= 12; step += 1) {
      const angle = (step / 12) * Math.PI;
      const [ax, ay] = [Math.cos(angle) * halfM, 1.35 + Math.sin(angle) * 1.45];
      builder.paint(FLOWERS[step % FLOWERS.length] ?? PALETTE.cream).ball(ax * 1.02, ay + 0.12, 0.34, 0.16, 0.16, 0.12, { rows: 3, sides: 5 });
      builder.paint(FLOWERS[(step + 2) % FLOWERS.length] ?? PALETTE.cream).ball(ax * 0.98, ay, -0.34, 0.16, 0.16, 0.12, { rows: 3, sides: 5 });
    }
  });
  for (const side of [-halfM, halfM]) site.block(x + Math.cos(turn) * side, z - Math.sin(turn) * side, 0.3);
}
