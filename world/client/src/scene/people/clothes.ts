import type { Look } from "../api";
import type { MeshBuilder } from "../build/mesh-builder";
import { pick } from "../core/numbers";
import { PALETTE, TOP_COLORS } from "../palette";
import { LIMBS } from "./pose";

const BODY = [[0.205, 0], [0.235, 0.1], [0.225, 0.25], [0.185, 0.36], [0.09, 0.42]] as const;
const BODY_FROM_M = 0.5;

function styleOf(look: Look): number {
  return ((Math.trunc(look.top) % TOP_COLORS.length) + TOP_COLORS.length) % TOP_COLORS.length;
}

/** The eight tops: a T-shirt, a hooded jumper, overalls, a hanbok jacket, a dress, stripes, a coat, and a scarf. */
export function torso(builder: MeshBuilder, look: Look): void {
  const style = styleOf(look);
  const [main, second] = pick(TOP_COLORS, look.top);
  builder.part(LIMBS.body).paint(main).lathe(0, BODY_FROM_M, 0, BODY, 10);
  TOPS[style]?.(builder, main ?? PALETTE.cream, second ?? PALETTE.white);
}

/** Arms with sleeves and round hands. */
export function arms(builder: MeshBuilder, look: Look, skin: number): void {
  const style = styleOf(look);
  const [main = PALETTE.cream, second = PALETTE.white] = pick(TOP_COLORS, look.top);
  const isShort = style === 0 || style === 4;
  const sleeve = style === 2 ? second : main;
  for (const [limb, side] of [[LIMBS.leftArm, 1], [LIMBS.rightArm, -1]] as const) {
    const x = 0.225 * side;
    builder.part(limb);
    if (isShort) builder.paint(skin).tube(x, 0.56, 0, 0.055, 0.065, 0.2, 7).paint(sleeve).tube(x, 0.7, 0, 0.095, 0.08, 0.17, 7);
    else builder.paint(sleeve).tube(x, 0.56, 0, style === 3 ? 0.115 : 0.08, 0.08, 0.31, 7);
    if (style === 5) builder.paint(second).tube(x, 0.64, 0, 0.084, 0.084, 0.06, 7);
    if (style === 3 || style === 6) builder.paint(second).tube(x, 0.55, 0, style === 3 ? 0.12 : 0.086, style === 3 ? 0.116 : 0.086, 0.05, 7);
    builder.paint(sleeve).ball(x * 0.97, 0.86, 0, 0.09, 0.085, 0.09, { rows: 4, sides: 7, smooth: true });
    builder.paint(skin).ball(x, 0.52, 0.01, 0.068, 0.075, 0.07, { rows: 4, sides: 7, smooth: true });
  }
}

const TOPS: readonly ((builder: MeshBuilder, main: number, second: number) => void)[] = [
  (builder, _main, second) => {
    builder.paint(second).within({ y: 0.72, z: 0.215 }, () => builder.star(0, 0, 0, 0.085, 0.038, 0.03));
  },
  (builder, main, second) => {
    builder.paint(main).ball(0, 0.9, -0.11, 0.2, 0.11, 0.13, { rows: 4, sides: 8, smooth: true });
    builder.paint(second).box(0, 0.57, 0.21, 0.2, 0.1, 0.05);
    for (const x of [-0.05, 0.05]) builder.paint(second).box(x, 0.74, 0.215, 0.018, 0.13, 0.02);
  },
  (builder, main, second) => {
    builder.paint(second).lathe(0, 0.5, 0, [[0.215, 0], [0.243, 0.1], [0.235, 0.2]], 10);
    builder.paint(second).box(0, 0.66, 0.2, 0.24, 0.16, 0.07);
    for (const x of [-0.1, 0.1]) builder.paint(second).box(x, 0.78, 0.17, 0.055, 0.12, 0.05).paint(PALETTE.gold).box(x, 0.78, 0.215, 0.04, 0.04, 0.03);
    builder.paint(main).box(0, 0.7, 0.24, 0.1, 0.07, 0.02);
  },
  (builder, main, second) => {
    builder.paint(second).within({ x: 0.05, y: 0.84, z: 0.165, roll: 0.5, tilt: -0.35 }, () => builder.box(0, -0.12, 0, 0.05, 0.2, 0.04));
    builder.within({ x: -0.05, y: 0.84, z: 0.165, roll: -0.5, tilt: -0.35 }, () => builder.box(0, -0.12, 0, 0.05, 0.2, 0.04));
    builder.paint(0xe0687a).box(0.04, 0.71, 0.23, 0.13, 0.05, 0.04).box(0.03, 0.52, 0.24, 0.045, 0.2, 0.02).box(0.09, 0.57, 0.24, 0.045, 0.15, 0.02);
    builder.paint(main).lathe(0, 0.47, 0, [[0.26, 0], [0.235, 0.1]], 10);
  },
  (builder, main, second) => {
    builder.paint(main).lathe(0, 0.26, 0, [[0.4, 0], [0.34, 0.1], [0.22, 0.36]], 11);
    builder.paint(second).lathe(0, 0.25, 0, [[0.405, 0], [0.4, 0.045]], 11).lathe(0, 0.6, 0, [[0.232, 0], [0.234, 0.04]], 10);
    builder.paint(second).ball(0, 0.88, 0.1, 0.13, 0.04, 0.09, { rows: 4, sides: 8 });
  },
  (builder, _main, second) => {
    for (const [y, radius] of [[0.55, 0.234], [0.66, 0.239], [0.77, 0.224]] as const) builder.paint(second).tube(0, y, 0, radius, radius - 0.004, 0.05, 10);
  },
  (builder, main, second) => {
    builder.paint(main).lathe(0, 0.4, 0, [[0.275, 0], [0.25, 0.2]], 10);
    builder.paint(PALETTE.cream).box(0, 0.46, 0.215, 0.1, 0.4, 0.05);
    for (const y of [0.52, 0.63, 0.74]) builder.paint(second).ball(0.075, y, 0.245, 0.024, 0.024, 0.015, { rows: 3, sides: 5 });
    for (const side of [-1, 1]) builder.paint(second).within({ x: side * 0.07, y: 0.88, z: 0.13, roll: side * 0.5 }, () => builder.box(0, -0.05, 0, 0.06, 0.1, 0.06));
  },
  (builder, _main, second) => {
    builder.paint(0x5fb9ee).lathe(0, 0.84, 0, [[0.14, 0], [0.19, 0.05], [0.14, 0.11]], 9);
    builder.paint(0x5fb9ee).box(0.1, 0.6, 0.2, 0.1, 0.27, 0.05).paint(second).box(0.1, 0.6, 0.205, 0.1, 0.05, 0.05);
  },
];
