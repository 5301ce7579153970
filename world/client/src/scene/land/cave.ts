import type { Corner, MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { pick } from "../core/numbers";
import { pine } from "./trees";
import { Site } from "./site";

const CENTER = { x: -44, z: -61 } as const;
/** The mouth looks to where the path comes from. */
const TURN = Math.atan2(9, 8);
/** Larger than the shapes below are written. */
const SIZE = 1.28;
const CRYSTALS = [PALETTE.crystal, PALETTE.crystalBlue, PALETTE.crystalPink] as const;

/** A rock with a dark mouth, full of crystals that mirror the light, and a great mirror inside. */
export function cave(fineness: number): Site {
  const site = new Site(707, fineness);
  site.stand(CENTER.x, CENTER.z, TURN, (builder) => builder.within({ scale: SIZE }, () => {
    rock(builder);
    mouth(builder);
    for (const [x, z, size, lean] of [[-3.2, 3.9, 1.1, -0.2], [3.3, 3.8, 1.3, 0.25], [-4.6, 1.6, 0.9, -0.3], [4.7, 1.2, 0.9, 0.3], [-1, 3.4, 0.4, 0.15], [1.05, 3.3, 0.45, -0.15]] as const) {
      cluster(builder, x, 0, z, size, lean);
    }
    cluster(builder, -1.9, 5.1, 0.2, 1.2, -0.2);
    cluster(builder, 1.6, 5.8, -1.4, 1.5, 0.15);
    cluster(builder, 3.2, 3.9, -0.4, 0.9, 0.4);
  }));
  for (const [forward, aside, turn, high] of [[7.4, -4.6, 0.5, 2.5], [7.6, 4.7, -0.5, 2.2], [10.2, -6.4, 0.9, 1.6]] as const) {
    mirror(site, forward, aside, turn, high);
  }
  site.shade(CENTER.x, CENTER.z, 8, 0.45);
  site.blockers.push({ ...CENTER, radius_m: 5.8, topM: 7.5 });
  lights(site);
  strewn(site);
  for (const [x, z, size] of [[-51, -58, 1.5], [-47.5, -68, 1.7], [-38.5, -67.5, 1.4], [-52.5, -64.5, 1.7], [-48.5, -53, 1.2]] as const) pine(site, x, z, size);
  site.lamp(-29.5, -47.4, PALETTE.crystal);
  site.lamp(-39.6, -49.8, PALETTE.crystalBlue);
  return site;
}

function rock(builder: MeshBuilder): void {
  builder.uneven(0.08).paint(PALETTE.rockDark, PALETTE.rock);
  builder.ball(0, 1.2, -1.8, 4.7, 4.7, 3.7, { rows: 6, sides: 10, rough: 0.1 });
  builder.ball(-3.6, 0.9, 1.2, 2.3, 3.3, 2.8, { rows: 5, sides: 8, rough: 0.12 });
  builder.ball(3.7, 0.8, 1.1, 2.3, 3, 2.7, { rows: 5, sides: 8, rough: 0.12 });
  builder.ball(0, 4.3, 1.5, 2.9, 1.3, 2.5, { rows: 5, sides: 9, rough: 0.12 });
  builder.paint(PALETTE.grassDark, PALETTE.grassLight).ball(-0.5, 5.5, -1.6, 2.6, 0.6, 2, { rows: 4, sides: 9, rough: 0.1 });
  builder.ball(-3.6, 3.95, 0.2, 1.3, 0.4, 1.2, { rows: 4, sides: 8, rough: 0.1 }).uneven(0.035);
}

/** Depth, half width and brightness of the rings of the tunnel: steps that grow darker and narrower, so that it looks deep. */
const TUNNEL = [
  [3.95, 1.8, 1], [3.45, 1.62, 0.6], [3.45, 1.4, 0.78], [3, 1.26, 0.34], [3, 1.06, 0.5], [2.5, 0.95, 0.04],
] as const;

/** A tunnel behind an arch of stones, with a mirror that shines at its end. */
function mouth(builder: MeshBuilder): void {
  builder.uneven(0.1).paint(PALETTE.rockDark, PALETTE.rock).rings([archway(1.4, 2.4, 0), archway(3.9, 2.2, 0.6), archway(3.95, 1.8, 0.2)], false);
  const tunnel = TUNNEL.map(([z, wide, up]) => archway(z, wide, up));
  builder.paint(PALETTE.tunnel, PALETTE.tunnelMouth).rings(tunnel, false).uneven(0.035).face(tunnel.at(-1) ?? []);
  for (let stone = 0; stone <= 10; stone += 1) {
    const angle = ((stone - 1) / 8) * Math.PI;
    const isFoot = stone % 10 === 0;
    const size = isFoot ? 0.85 : 0.46 + ((stone * 0.618) % 1) * 0.32;
    const [x, y] = isFoot ? [stone ? -2.05 : 2.05, 0.35] : [Math.cos(angle) * 2, 1.6 + Math.sin(angle) * 1.85];
    builder.paint(PALETTE.rockDark, PALETTE.stoneDark).ball(x, y, 3.9, size, size * 0.9, size, { rows: 4, sides: 6, rough: 0.2 });
  }
  glass(builder, 1.22, 2.55, 0.6, 1);
}

/** The outline of the tunnel at a depth, from the foot of its right wall to that of its left one. */
function archway(z: number, wide: number, up: number): Corner[] {
  const corners = Array.from({ length: 7 }, (_, step): Corner => {
    const reach = wide * (1 + 0.05 * Math.sin(step * 5 + z * 9));
    return { x: Math.cos((step / 6) * Math.PI) * reach, y: 1.2 + wide * 0.2 + Math.sin((step / 6) * Math.PI) * reach, z, up };
  });
  return [{ x: wide, y: 0.05, z, up }, ...corners, { x: -wide, y: 0.05, z, up }];
}

/** Colours of a mirror from its foot to its top: meadows, hills in the haze, and the sky. */
const MIRRORED = [
  [0x4a6f74, 0x5b8a80], [0x5b8a80, 0x86ae9c], [0xa5c3c6, 0xc9dde6], [0xdfeef8, 0xb2d6f5], [0xb2d6f5, 0x86b9ef], [0x86b9ef, 0x6a98e0],
] as const;

/** An oval mirror that looks to +z: it hints at the land and the sky before it. */
function glass(builder: MeshBuilder, y: number, z: number, wide: number, tall: number): void {
  const at = (row: number, side: number, up: number): Corner => ({
    x: Math.sin((row / MIRRORED.length) * Math.PI) * wide * side, y: y - Math.cos((row / MIRRORED.length) * Math.PI) * tall, z, up,
  });
  builder.open(0.85);
  MIRRORED.forEach(([low, high], row) => {
    builder.shine(low, 0.3, high).face([at(row, -1, 0), at(row, 1, 0), at(row + 1, 1, 1), at(row + 1, -1, 1)]);
  });
  builder.shine(PALETTE.white, 0.8);
  for (const [from, thick] of [[-0.5, 0.16], [-0.2, 0.07]] as const) {
    const streak = [[from, -0.1], [from + thick, -0.1], [from + thick + 0.5, 0.55], [from + 0.5, 0.55]] as const;
    builder.face(streak.map(([across, high]) => ({ x: across * wide, y: y + high * tall, z: z + 0.03, up: 0 })));
  }
  builder.open(0);
}

function cluster(builder: MeshBuilder, x: number, y: number, z: number, size: number, lean: number): void {
  for (let index = 0; index < 4; index += 1) {
    const tall = size * (1.7 - index * 0.3);
    const color = pick(CRYSTALS, index + Math.round(x * 3));
    builder.shine(color, 0.8, PALETTE.white).within({
      x: x + Math.sin(index * 2.2) * 0.4 * size, y, z: z + Math.cos(index * 2.2) * 0.35 * size,
      roll: -lean + Math.sin(index * 1.7) * 0.35, tilt: Math.cos(index * 2.1) * 0.25, turn: index,
    }, () => builder.lathe(0, -0.2, 0, [[0.2 * size, 0], [0.3 * size, tall * 0.7], [0, tall]], 5, false));
  }
}

/** A point before the mouth. */
function before(forward: number, aside: number): { x: number; z: number } {
  const [fx, fz] = [Math.sin(TURN), Math.cos(TURN)];
  return { x: CENTER.x + fx * forward + fz * aside, z: CENTER.z + fz * forward - fx * aside };
}

/** A mirror on a foot of stone, which leans back and is framed in crystal. */
function mirror(site: Site, forward: number, aside: number, turn: number, high: number): void {
  const { x, z } = before(forward, aside);
  site.stand(x, z, TURN + turn, (builder) => {
    builder.paint(PALETTE.rockDark, PALETTE.stoneDark).taper(0, -0.05, -0.05, high * 0.5, 0.75, high * 0.17 + 0.05, high * 0.3, 0.36);
    builder.within({ tilt: -0.12 }, () => {
      builder.open(0.2).shine(PALETTE.crystal, 0.5, PALETTE.crystalPink).within({ y: high * 0.6, z: -0.06, scale: [high * 0.31, high * 0.52, 1] }, () => {
        builder.within({ tilt: Math.PI / 2 }, () => builder.tube(0, 0, 0, 1, 1, 0.1, 12));
      });
      glass(builder, high * 0.6, 0.06, high * 0.26, high * 0.46);
    });
  });
  site.block(x, z, 0.6);
  site.shade(x, z, 1.2, 0.35);
  site.glows.push({ x, y: high * 0.15, z, color: PALETTE.crystalBlue, sizeM: 1.8 });
}

function lights(site: Site): void {
  const at = before;
  const spots: [number, number, number, number, number][] = [
    [4.4, 0, 1.7, PALETTE.crystalBlue, 5], [5.4, -4.1, 1.5, PALETTE.crystal, 4], [5.4, 4.2, 1.6, PALETTE.crystalPink, 4],
    [0.2, -2.4, 7.6, PALETTE.crystal, 4.4], [-1.6, 2, 8.8, PALETTE.crystalBlue, 5],
  ];
  for (const [forward, aside, y, color, sizeM] of spots) site.glows.push({ ...at(forward, aside), y, color, sizeM });
  site.pools.push({ ...at(7.4, 0), radiusM: 5.5, color: PALETTE.crystal, strength: 0.5 });
  site.pools.push({ ...at(7.4, -4.6), radiusM: 3, color: PALETTE.crystalPink, strength: 0.35 });
  site.pools.push({ ...at(7.6, 4.7), radiusM: 3, color: PALETTE.crystalBlue, strength: 0.35 });
  for (let mote = 0; mote < 12; mote += 1) {
    const place = at(6.6 + (mote % 4), (mote - 6) * 0.9);
    site.glows.push({ ...place, y: 1.2 + (mote % 3) * 0.7, color: pick(CRYSTALS, mote), sizeM: 0.4, wanderM: 1 });
  }
}

/** Small crystals along the path that leads here. */
function strewn(site: Site): void {
  for (const [x, z, size] of [[-26.5, -45.6, 0.35], [-30, -51.6, 0.45], [-33.4, -56.8, 0.5], [-37, -60.4, 0.6], [-40.6, -52, 0.5], [-22.4, -47.4, 0.3]] as const) {
    site.stand(x, z, x, (builder) => cluster(builder, 0, 0, 0, size, 0.1));
    site.glows.push({ x, y: 0.5, z, color: PALETTE.crystalBlue, sizeM: 1.4 });
  }
}
