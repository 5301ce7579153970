import type { MeshBuilder, Where } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { pick } from "../core/numbers";
import { cherry } from "./trees";
import { Site } from "./site";

const CENTER = { x: -64, z: 0 };
/** How much of the light is the same on all sides, for walls and for windows. */
const FACADE = 0.5;
const GLASS = 0.9;
const BOOKS = [0xd9604f, 0x5b83b8, 0xe0a53a, 0x6fb35c, 0x8a6aa8, 0xf3e4c4] as const;

/** A warm library with tall windows, a reading tower and places to read outside. Its front looks east, to the plaza. */
export function library(fineness: number, name: string): Site {
  const site = new Site(202, fineness);
  const place = { x: CENTER.x, z: CENTER.z, turn: Math.PI / 2 };
  // The front never faces the sun: light from the bright ground before it keeps it warm.
  site.builder.open(FACADE).within(place, () => site.detail.open(0.7).within(place, () => {
    hall(site);
    porch(site.builder);
    for (const x of [-4.9, 4.9]) tower(site, x);
  }));
  site.builder.open(0);
  site.detail.open(0);
  site.signs.push({
    text: name, icon: "library", where: { x: CENTER.x + 6.06, y: 5.05, z: 0, turn: Math.PI / 2 },
    widthM: 3.6, heightM: 0.9, color: PALETTE.woodDark, ink: PALETTE.cream,
  });
  site.shade(CENTER.x, CENTER.z, 11.5, 0.45);
  site.blockers.push({ ...CENTER, radius_m: 7.4, topM: 9 });
  windowLight(site);
  readingGarden(site);
  return site;
}

function hall({ builder, detail }: Site): void {
  builder.paint(PALETTE.stoneDark).box(0, 0, -0.6, 10.4, 0.4, 9.6);
  builder.paint(PALETTE.wallWarm, PALETTE.wall).box(0, 0.4, -0.6, 9.6, 5.2, 8.8);
  builder.paint(PALETTE.woodDark).box(0, 5.5, -0.6, 10, 0.25, 9.2);
  builder.paint(PALETTE.roofTeal, PALETTE.roofTeal).within({ y: 5.7, z: -0.6, turn: Math.PI / 2 }, () => builder.gable(0, 0, 0, 10, 3.1, 10.6));
  for (const x of [-3.1, -1.6, 1.6, 3.1]) tallWindow(builder, detail, x, 3.82);
  for (const z of [-3.6, -1.6, 0.4, 2.4]) {
    for (const side of [-1, 1]) inBoth(builder, detail, { turn: (side * Math.PI) / 2 }, () => tallWindow(builder, detail, -side * z, 4.82));
  }
  roundWindow(builder, 4.16);
}

/** A tall window with rows of books behind the glass. */
function tallWindow(builder: MeshBuilder, detail: MeshBuilder, x: number, z: number): void {
  builder.paint(PALETTE.wood).box(x, 1.1, z, 1.02, 3.1, 0.1);
  builder.within({ x, y: 4.2, z: z + 0.05, tilt: Math.PI / 2 }, () => builder.tube(0, -0.1, 0, 0.51, 0.51, 0.1, 10));
  builder.open(GLASS).shine(PALETTE.window, 1, PALETTE.cream).box(x, 1.22, z + 0.04, 0.8, 2.95, 0.06);
  builder.within({ x, y: 4.2, z: z + 0.09, tilt: Math.PI / 2 }, () => builder.tube(0, -0.1, 0, 0.4, 0.4, 0.1, 10)).open(FACADE);
  shelves(detail, x, z);
  builder.paint(PALETTE.wood).box(x, 1.2, z + 0.09, 0.05, 3.3, 0.03).box(x, 3, z + 0.09, 0.8, 0.05, 0.03);
  builder.paint(PALETTE.stone).box(x, 1, z + 0.08, 1.2, 0.12, 0.3);
}

function shelves(builder: MeshBuilder, x: number, z: number): void {
  for (const shelf of [1.3, 2.1]) {
    for (let book = 0; book < 6; book += 1) {
      builder.shine(pick(BOOKS, book + Math.round(x * 3) + Math.round(shelf * 5)), 0.45);
      builder.box(x - 0.32 + book * 0.125, shelf, z + 0.07, 0.1, 0.36 + ((book * 7) % 4) * 0.07, 0.04);
    }
    builder.paint(PALETTE.wood).box(x, shelf - 0.05, z + 0.07, 0.8, 0.05, 0.05);
  }
}

function roundWindow(builder: MeshBuilder, z: number): void {
  builder.within({ y: 6.9, z: z + 0.35, tilt: Math.PI / 2 }, () => {
    builder.paint(PALETTE.wood).tube(0, -0.1, 0, 0.85, 0.85, 0.2, 12);
    builder.open(GLASS).shine(PALETTE.window, 1).tube(0, 0.05, 0, 0.66, 0.66, 0.1, 12).open(FACADE);
  });
  builder.paint(PALETTE.wood).box(0, 6.2, z + 0.52, 0.08, 1.4, 0.05).box(0, 6.86, z + 0.52, 1.4, 0.08, 0.05);
}

/** The door under a small roof on columns. */
function porch(builder: MeshBuilder): void {
  builder.paint(PALETTE.stone).box(0, 0, 5, 4.6, 0.22, 2.6).box(0, 0.2, 4.6, 4, 0.2, 1.9);
  for (const x of [-1.7, 1.7]) {
    builder.paint(PALETTE.stone).tube(x, 0.4, 5.5, 0.26, 0.2, 3.7, 8).box(x, 4.05, 5.5, 0.6, 0.2, 0.6);
  }
  builder.paint(PALETTE.woodDark).box(0, 4.25, 4.8, 4.4, 0.3, 2.3);
  builder.paint(PALETTE.woodDark).box(0, 4.5, 5.95, 3.9, 1.1, 0.14);
  builder.paint(PALETTE.roofTeal).within({ y: 5.55, z: 4.9, turn: Math.PI / 2 }, () => builder.gable(0, 0, 0, 2.6, 1.1, 4.9));
  builder.paint(PALETTE.woodDark).box(0, 0.4, 3.84, 2, 3.3, 0.1);
  builder.paint(PALETTE.wood, PALETTE.woodLight).box(-0.46, 0.42, 3.92, 0.84, 2.9, 0.08).box(0.46, 0.42, 3.92, 0.84, 2.9, 0.08);
  builder.open(GLASS).shine(PALETTE.window, 1).box(-0.46, 1.7, 3.95, 0.5, 1.2, 0.06).box(0.46, 1.7, 3.95, 0.5, 1.2, 0.06).open(FACADE);
  builder.shine(PALETTE.lantern, 1).ball(0, 3.85, 5.2, 0.22, 0.28);
}

function tower({ builder, detail }: Site, x: number): void {
  inBoth(builder, detail, { x, z: 2.2 }, () => {
    builder.paint(PALETTE.wallWarm, PALETTE.wall).tube(0, 0, 0, 1.75, 1.6, 6.9, 8);
    builder.paint(PALETTE.woodDark).tube(0, 6.8, 0, 1.85, 1.85, 0.25, 8);
    builder.paint(PALETTE.roofTeal, PALETTE.roofBlue).lathe(0, 7.05, 0, [[1.5, 0], [2.15, 0], [1.2, 1.3], [0, 3.2]], 8, false);
    builder.shine(PALETTE.gold, 0.7).ball(0, 10.35, 0, 0.2);
    for (const turn of [0, x < 0 ? -0.8 : 0.8]) {
      inBoth(builder, detail, { turn, y: 0.7, scale: [0.85, 0.85, 0.5] }, () => tallWindow(builder, detail, 0, 3.1));
      builder.within({ turn }, () => builder.open(GLASS).shine(PALETTE.window, 1).box(0, 5.2, 1.45, 0.55, 1, 0.12).open(FACADE));
    }
  });
}

/** Move two builders alike. */
function inBoth(builder: MeshBuilder, detail: MeshBuilder, where: Where, build: () => void): void {
  builder.within(where, () => detail.within(where, build));
}

function windowLight(site: Site): void {
  for (const z of [-3.1, 0, 3.1]) {
    site.glows.push({ x: CENTER.x + 5.2, y: 3, z, color: PALETTE.window, sizeM: 4 });
    site.pools.push({ x: CENTER.x + 8.6, z: z * 1.3, radiusM: 4.6, color: PALETTE.window, strength: 0.4 });
  }
  for (const side of [-1, 1]) site.pools.push({ x: CENTER.x, z: side * 8.6, radiusM: 4.5, color: PALETTE.window, strength: 0.35 });
}

function readingGarden(site: Site): void {
  for (const [x, z, turn] of [[-52.5, -7, -0.6], [-52.5, 7.6, Math.PI + 0.6], [-57, 11.5, Math.PI], [-57, -11.5, 0]] as const) {
    site.bench(x, z, turn);
  }
  for (const [x, z] of [[-56, -3.2], [-56, 3.2], [-48, 8.5], [-56, -14]] as const) site.lamp(x, z, PALETTE.window);
  openBook(site, -53.2, -4.6);
  for (const [x, z] of [[-54, -9.4], [-51.4, 4.4], [-55.6, 5.4], [-59.5, 12.6]] as const) bookPile(site, x, z);
  for (const [x, z] of [[-50.5, -11], [-61.5, 14.5], [-66, -14]] as const) cherry(site, x, z, 1.15);
  for (const z of [-2.9, 2.9]) {
    for (const x of [-54.6, -51.8, -49]) site.flowers(x, z, [PALETTE.blossomLight, PALETTE.cream, PALETTE.roofPlum], 5, 0.5);
  }
}

/** A great open book of stone on a plinth, whose pages shine in the evening. */
function openBook(site: Site, x: number, z: number): void {
  site.stand(x, z, Math.PI / 2, (builder) => {
    builder.paint(PALETTE.stoneDark, PALETTE.stone).box(0, 0, 0, 1.9, 0.3, 1.3).taper(0, 0.3, 0, 0.9, 0.8, 0.8, 0.6, 0.5);
    for (const side of [-1, 1]) {
      builder.open(0.6).within({ y: 1.12, tilt: 0.7, roll: side * 0.2 }, () => {
        builder.paint(0xb5483f).box(side * 0.82, 0, 0, 1.62, 0.08, 1.9);
        builder.shine(PALETTE.cream, 0.5, PALETTE.white).box(side * 0.8, 0.08, 0, 1.5, 0.14, 1.76);
        builder.paint(PALETTE.stoneBlue);
        for (let line = 0; line < 6; line += 1) builder.box(side * 0.82, 0.22, -0.62 + line * 0.25, line === 5 ? 0.7 : 1.1, 0.015, 0.07);
      });
    }
    builder.paint(PALETTE.lanternRed).within({ y: 1.2, tilt: 0.7 }, () => builder.box(0.05, 0.12, 0.75, 0.16, 0.03, 1.1)).open(0);
  });
  site.block(x, z, 1.1);
  site.shade(x, z, 2, 0.35);
}

/** Giant books as seats. */
function bookPile(site: Site, x: number, z: number): void {
  site.strew(x, z, x, (builder) => {
    [0, 1, 2, 3].forEach((book) => {
      builder.within({ y: book * 0.32, turn: book * 0.5, scale: 1.35 }, () => {
        builder.paint(pick(BOOKS, book + Math.round(z))).box(0, 0, 0, 1, 0.05, 0.74).box(0, 0.18, 0, 1, 0.05, 0.74).box(-0.48, 0, 0, 0.06, 0.23, 0.74);
        builder.paint(PALETTE.cream).box(0.02, 0.05, 0, 0.9, 0.13, 0.66);
      });
    });
  });
  site.block(x, z, 0.55);
  site.shade(x, z, 1.1);
}
