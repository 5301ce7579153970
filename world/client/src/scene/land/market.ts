import type { MeshBuilder } from "../build/mesh-builder";
import { pick } from "../core/numbers";
import { PALETTE } from "../palette";
import { Site } from "./site";

const LANTERNS = [PALETTE.lantern, PALETTE.lanternRed, PALETTE.lanternPink, PALETTE.gold, PALETTE.lanternBlue] as const;
const AWNINGS = [[0xe8604c, 0xfff2dc], [0x4f93c9, 0xfff2dc], [0xf0b040, 0xfff6e2], [0x5fae7a, 0xfff2dc], [0xc06aa8, 0xfff0f4]] as const;
const HALF_PI = Math.PI / 2;

/** Stalls with striped awnings, and strings of lanterns over the lane between them. */
export function market(fineness: number, name: string): Site {
  const site = new Site(505, fineness);
  stall(site, 57, -7, 0, 0, skewers);
  stall(site, 63, -7, 0, 1, clothes);
  stall(site, 57, 7, Math.PI, 2, dumplings);
  stall(site, 63, 7, Math.PI, 3, lanternShop);
  stall(site, 68, 0, -HALF_PI, 4, sweets);
  gate(site, name);
  strings(site);
  tables(site);
  for (const z of [-5.6, 5.6]) bigLantern(site, 48.6, z);
  return site;
}

function stall(site: Site, x: number, z: number, turn: number, look: number, goods: (builder: MeshBuilder) => void): void {
  site.stand(x, z, turn, (builder) => {
    builder.paint(PALETTE.wood, PALETTE.woodLight).box(0, 0, 0.75, 2.9, 0.95, 0.75).box(0, 0, -1.05, 2.9, 2.3, 0.14);
    builder.paint(PALETTE.cream).box(0, 0.95, 0.78, 3.1, 0.08, 0.95);
    for (const side of [-1.42, 1.42]) {
      builder.paint(PALETTE.woodDark).tube(side, 0, 1.15, 0.08, 0.08, 2.6, 5).tube(side, 0, -1.05, 0.08, 0.08, 3.1, 5);
    }
    awning(builder, look);
    for (const across of [-1.1, 0, 1.1]) lantern(builder, across, 2.1, 1.55, pick(LANTERNS, look + across + 1), 0.8);
  });
  site.strew(x, z, turn, goods);
  const [front, side] = [[Math.sin(turn), Math.cos(turn)], [Math.cos(turn), -Math.sin(turn)]] as const;
  for (const across of [-1.1, 1.1]) {
    site.glows.push({ x: x + front[0] * 1.55 + side[0] * across, y: 2.2, z: z + front[1] * 1.55 + side[1] * across, color: PALETTE.lantern, sizeM: 1.8 });
  }
  site.pools.push({ x: x + front[0] * 2, z: z + front[1] * 2, radiusM: 4.4, color: PALETTE.lantern, strength: 0.5 });
  site.shade(x, z, 2.9, 0.4);
  site.blockers.push({ x, z, radius_m: 1.6, topM: 3 });
}

/** Striped cloth that slopes to the front and ends in scallops. */
function awning(builder: MeshBuilder, look: number): void {
  const [color, pale] = pick(AWNINGS, look);
  const stripes = 8;
  const width = 3.4 / stripes;
  for (let stripe = 0; stripe < stripes; stripe += 1) {
    const x = -1.7 + width * (stripe + 0.5);
    builder.shine(stripe % 2 ? pale : color, 0.28);
    builder.within({ x, y: 2.8, z: 0.2, tilt: 0.3 }, () => builder.box(0, 0, 0, width, 0.06, 3));
    builder.sway(0, 0.25).taper(x, 2.06, 1.64, width * 0.5, 0.04, 0.3, width, 0.05).sway(0);
  }
}

/** A paper lantern as high as a person on a stand. */
function bigLantern(site: Site, x: number, z: number): void {
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.75, 0.65, 0.3, 8);
    builder.shine(PALETTE.lanternRed, 1, PALETTE.lantern).lathe(0, 0.3, 0, [[0.45, 0], [0.85, 0.45], [0.95, 1], [0.85, 1.55], [0.45, 2]], 10, false);
    builder.paint(PALETTE.woodDark).tube(0, 2.25, 0, 0.5, 0.4, 0.2, 8);
    builder.paint(PALETTE.gold).ball(0, 2.55, 0, 0.16, 0.16, 0.16, { rows: 3, sides: 6 });
  });
  site.light(x, 1.4, z, PALETTE.lantern, 4.5, 4.5);
  site.block(x, z, 0.9);
  site.shade(x, z, 1.4);
}

function lantern(builder: MeshBuilder, x: number, y: number, z: number, color: number, size = 1): void {
  builder.shine(color, 1).lathe(x, y - 0.2 * size, z, [[0.1 * size, 0], [0.23 * size, 0.12 * size], [0.23 * size, 0.28 * size], [0.1 * size, 0.4 * size]], 6, false);
  builder.paint(PALETTE.woodDark).tube(x, y + 0.18 * size, z, 0.1 * size, 0.05 * size, 0.07, 4);
  builder.paint(PALETTE.gold).tube(x, y - 0.38 * size, z, 0.02, 0.04, 0.18 * size, 3);
}

/** A grill with skewers. */
function skewers(builder: MeshBuilder): void {
  builder.paint(PALETTE.roofTile).box(-0.5, 1.03, 0.8, 1.5, 0.2, 0.5);
  builder.shine(0xff6a3a, 1).box(-0.5, 1.2, 0.8, 1.36, 0.05, 0.36);
  for (let stick = 0; stick < 7; stick += 1) {
    const x = -1.05 + stick * 0.19;
    builder.paint(PALETTE.woodLight).box(x, 1.27, 0.86, 0.03, 0.03, 0.85);
    builder.paint(stick % 2 ? 0xb5653a : 0xd98a4a).box(x, 1.26, 0.72, 0.1, 0.09, 0.12).box(x, 1.26, 0.92, 0.1, 0.09, 0.12);
    builder.paint(stick % 2 ? PALETTE.leaf : PALETTE.lanternRed).box(x, 1.26, 0.82, 0.09, 0.08, 0.06);
  }
  builder.paint(PALETTE.lanternRed).tube(0.75, 1.03, 0.8, 0.14, 0.12, 0.4, 7).tube(1.1, 1.03, 0.75, 0.14, 0.12, 0.34, 7);
}

function clothes(builder: MeshBuilder): void {
  builder.paint(PALETTE.woodDark).box(0, 2.1, -0.6, 2.6, 0.06, 0.06);
  [0xf79cc2, 0x5fb9ee, 0xffd166, 0x8ed267, 0xa592ff].forEach((color, index) => {
    builder.sway(0, 0.3).paint(color).taper(-1 + index * 0.5, 1.25, -0.6, 0.5, 0.1, 0.8, 0.26, 0.1).sway(0);
  });
  for (const [x, color] of [[-0.9, 0x5fb9ee], [-0.2, 0xffd166], [0.5, 0xf0604a], [1.1, 0xf79cc2]] as const) {
    builder.paint(color).box(x, 1.03, 0.8, 0.5, 0.12, 0.5).paint(PALETTE.cream).box(x, 1.15, 0.8, 0.46, 0.08, 0.46);
  }
}

function dumplings(builder: MeshBuilder): void {
  for (const x of [-0.95, -0.25]) {
    for (let tier = 0; tier < 3; tier += 1) {
      builder.paint(PALETTE.woodLight).tube(x, 1.03 + tier * 0.2, 0.8, 0.33, 0.33, 0.18, 9).paint(PALETTE.wood).tube(x, 1.2 + tier * 0.2, 0.8, 0.35, 0.35, 0.03, 9);
    }
  }
  for (let bun = 0; bun < 6; bun += 1) builder.paint(PALETTE.cream).ball(0.45 + (bun % 3) * 0.3, 1.12, 0.65 + Math.floor(bun / 3) * 0.32, 0.13, 0.11, 0.13, { rows: 4, sides: 6 });
}

function lanternShop(builder: MeshBuilder): void {
  for (let index = 0; index < 6; index += 1) lantern(builder, -1.1 + index * 0.44, 1.3, 0.75, pick(LANTERNS, index), 0.9);
  for (let index = 0; index < 4; index += 1) lantern(builder, -0.9 + index * 0.6, 1.9, -0.7, pick(LANTERNS, index + 2), 1.1);
  builder.shine(PALETTE.star, 1).within({ x: 1.3, y: 1.35, z: 0.9 }, () => builder.star(0, 0, 0, 0.25, 0.11, 0.1));
}

function sweets(builder: MeshBuilder): void {
  for (const [x, color] of [[-1, 0xf79cc2], [-0.45, 0xffd166], [0.1, 0x8ed267]] as const) {
    builder.paint(PALETTE.white).tube(x, 1.03, 0.8, 0.17, 0.17, 0.06, 8).paint(color, PALETTE.cream).ball(x, 1.2, 0.8, 0.17, 0.14, 0.17, { rows: 4, sides: 7 });
  }
  builder.paint(PALETTE.woodDark).tube(0.85, 1.03, 0.8, 0.34, 0.36, 0.3, 9).paint(PALETTE.cream).tube(0.85, 1.3, 0.8, 0.3, 0.3, 0.05, 9);
}

/** A gate with a tiled roof, as at the entrance of old markets. */
function gate(site: Site, name: string): void {
  site.stand(44.5, 0, HALF_PI, (builder) => {
    for (const x of [-2.9, 2.9]) {
      builder.paint(PALETTE.stoneDark).box(x, 0, 0, 0.8, 0.4, 0.8);
      builder.paint(0xb8443a, 0xd45a48).tube(x, 0.4, 0, 0.24, 0.22, 3.7, 8);
    }
    builder.paint(PALETTE.roofTeal).box(0, 3.6, 0, 6.6, 0.22, 0.34);
    builder.paint(0xb8443a).box(0, 4.1, 0, 7, 0.24, 0.4);
    builder.paint(PALETTE.woodDark).box(0, 3.55, 0, 3, 0.9, 0.44);
    for (const tilt of [0.5, -0.5]) {
      builder.paint(PALETTE.roofTile).within({ y: 4.78, z: tilt * 1.05, tilt }, () => builder.taper(0, 0, 0, 8.4, 1.5, 0.16, 7.8, 1.4));
    }
    builder.paint(0x3f4c60).box(0, 4.98, 0, 7.6, 0.24, 0.3);
    for (const x of [-2.1, 2.1]) lantern(builder, x, 3.1, 0.2, PALETTE.lanternRed, 1.5);
  });
  for (const z of [-2.9, 2.9]) site.block(44.5, z, 0.4);
  for (const side of [-1, 1]) {
    site.signs.push({ text: name, icon: "market", where: { x: 44.5 + side * 0.24, y: 4, z: 0, turn: side * HALF_PI }, widthM: 2.8, heightM: 0.7, color: 0x3a2c2c, ink: PALETTE.gold });
    site.glows.push({ x: 44.7, y: 3.1, z: side * 2.1, color: PALETTE.lanternRed, sizeM: 2.6 });
  }
  site.pools.push({ x: 44.5, z: 0, radiusM: 5, color: PALETTE.lanternRed, strength: 0.35 });
}

/** Lanterns on slack strings between poles. */
function strings(site: Site): void {
  const poles: [number, number][] = [[52, -9.5], [52, 9.5], [60, -10.5], [60, 10.5], [66.5, -8], [66.5, 8]];
  for (const [x, z] of poles) {
    site.stand(x, z, 0, (builder) => {
      builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.13, 0.09, 5.2, 6);
      builder.shine(PALETTE.gold, 0.7).ball(0, 5.3, 0, 0.15, 0.15, 0.15, { rows: 4, sides: 6 });
    });
    site.block(x, z, 0.25);
  }
  const lines: [number, number, number, number][] = [
    [52, -9.5, 52, 9.5], [60, -10.5, 60, 10.5], [66.5, -8, 66.5, 8], [52, -9.5, 60, 10.5], [60, -10.5, 52, 9.5],
    [60, -10.5, 66.5, 8], [66.5, -8, 60, 10.5], [47.6, -2.9, 52, -9.5], [47.6, 2.9, 52, 9.5],
  ];
  lines.forEach((line, index) => lanternString(site, line, index));
}

function lanternString(site: Site, [x1, z1, x2, z2]: readonly [number, number, number, number], seed: number): void {
  const length = Math.hypot(x2 - x1, z2 - z1);
  const count = Math.round(length / 1.9);
  const at = (share: number): [number, number, number] => [
    x1 + (x2 - x1) * share, 5 - Math.sin(share * Math.PI) * length * 0.075, z1 + (z2 - z1) * share,
  ];
  for (let step = 0; step < count; step += 1) {
    site.builder.paint(PALETTE.woodDark).rod(at(step / count), at((step + 1) / count), 0.015, 3);
    if (step === 0) continue;
    const [x, y, z] = at(step / count);
    const color = pick(LANTERNS, step + seed);
    site.builder.sway(0.12, 0.12);
    lantern(site.builder, x, y - 0.28, z, color, 1.05);
    site.builder.sway(0);
    if (step % 2 === 0) site.glows.push({ x, y: y - 0.28, z, color, sizeM: 1.9 });
    if (step % 4 === 2) site.pools.push({ x, z, radiusM: 3.2, color: PALETTE.lantern, strength: 0.22 });
  }
}

function tables(site: Site): void {
  for (const [x, z] of [[52.5, -4.6], [52.5, 5], [64.6, 3.6], [64.4, -3.6]] as const) {
    site.strew(x, z, x, (builder) => {
      builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.28, 0.1, 0.7, 6).paint(PALETTE.woodLight).tube(0, 0.7, 0, 0.75, 0.75, 0.07, 9);
      for (let seat = 0; seat < 3; seat += 1) {
        const angle = (seat / 3) * Math.PI * 2;
        builder.paint(PALETTE.lanternRed, PALETTE.wood).tube(Math.sin(angle) * 1.15, 0, Math.cos(angle) * 1.15, 0.22, 0.26, 0.46, 7);
      }
      builder.paint(PALETTE.cream).tube(0.2, 0.77, 0.1, 0.14, 0.18, 0.06, 7);
      builder.paint(0xb5653a).box(-0.2, 0.78, -0.1, 0.4, 0.06, 0.08);
    });
    site.block(x, z, 1.1);
    site.shade(x, z, 1.7);
  }
}
