import type { Look } from "../api";
import { MeshBuilder } from "../build/mesh-builder";
import { pick } from "../core/numbers";
import { BOTTOM_COLORS, HAIR_COLORS, PALETTE, SKIN_COLORS } from "../palette";
import { arms, torso } from "./clothes";
import { hair } from "./hair";
import { hat } from "./hats";
import type { Joints } from "./limbs";
import { LIMBS } from "./pose";

/** Joints of a figure of normal size; other bodies are scaled as a whole. */
export const JOINTS: Joints = {
  hipY: 0.47, hipX: 0.105, shoulderY: 0.86, shoulderX: 0.2, neckY: 0.94, eyeY: 1.2, extra: [0, 1.5, 0],
};

/** Width and height of the four bodies. */
const BODIES = [[1, 1], [0.94, 1.08], [1.1, 0.98], [0.95, 0.86]] as const;

/** How a body is scaled. */
export function bodyScale(look: Look): { wide: number; high: number } {
  const [wide, high] = pick(BODIES, look.body);
  return { wide, high };
}

/** The geometry of a person: one mesh, coloured corners, limbs marked for the shader. */
export function personGeometry(look: Look, fineness: number): ReturnType<MeshBuilder["geometry"]> {
  const builder = new MeshBuilder(5, fineness).uneven(0.012).round(fineness < 1);
  const skin = pick(SKIN_COLORS, look.body);
  legs(builder, look, skin, fineness < 1);
  torso(builder, look);
  arms(builder, look, skin);
  head(builder, skin, fineness < 1);
  face(builder, fineness < 1);
  hair(builder, look.hair, pick(HAIR_COLORS, look.hair_color), look.hat);
  hat(builder, look.hat);
  return builder.geometry();
}

function legs(builder: MeshBuilder, look: Look, skin: number, isPlain: boolean): void {
  const color = pick(BOTTOM_COLORS, look.bottom);
  const style = ((Math.trunc(look.bottom) % 4) + 4) % 4;
  for (const [limb, side] of [[LIMBS.leftLeg, 1], [LIMBS.rightLeg, -1]] as const) {
    const x = JOINTS.hipX * side;
    builder.part(limb);
    if (style === 0) builder.paint(color).tube(x, 0.06, 0, 0.1, 0.125, 0.43, 7);
    if (style === 1) builder.paint(skin).tube(x, 0.06, 0, 0.075, 0.085, 0.25, 7).paint(color).tube(x, 0.27, 0, 0.135, 0.125, 0.22, 7);
    if (style === 2) builder.paint(skin).tube(x, 0.06, 0, 0.07, 0.085, 0.4, 7).paint(PALETTE.cream).tube(x, 0.06, 0, 0.082, 0.085, 0.13, 7);
    if (style === 3) builder.paint(color).lathe(x, 0.06, 0, [[0.085, 0], [0.15, 0.1], [0.125, 0.43]], 7);
    builder.paint(look.top % 2 ? PALETTE.woodDark : PALETTE.cream, look.top % 2 ? PALETTE.wood : PALETTE.white);
    builder.ball(x, 0.06, 0.045, 0.105, 0.075, 0.16, { rows: 4, sides: 8, smooth: true });
    if (!isPlain) builder.paint(PALETTE.ink).box(x, 0, 0.045, 0.17, 0.03, 0.27);
  }
  builder.part(LIMBS.body).paint(color);
  if (style === 2) builder.lathe(0, 0.3, 0, [[0.36, 0], [0.3, 0.12], [0.2, 0.28]], 10);
  else builder.lathe(0, 0.4, 0, [[0.17, 0], [0.225, 0.08], [0.215, 0.16]], 9);
}

function head(builder: MeshBuilder, skin: number, isPlain: boolean): void {
  builder.part(LIMBS.head).paint(skin);
  builder.tube(0, 0.88, 0, 0.08, 0.08, 0.1, 6);
  builder.ball(0, 1.22, 0, 0.33, 0.305, 0.305, { rows: 7, sides: 12, smooth: true });
  if (isPlain) return;
  for (const side of [-1, 1]) builder.ball(side * 0.325, 1.18, 0, 0.05, 0.075, 0.06, { rows: 4, sides: 6, smooth: true });
}

/** Round eyes with a light in them, cheeks and a small smile; shared with the bots. Plain faces only have a line. */
export function face(builder: MeshBuilder, isPlain: boolean, eye: number = PALETTE.ink, blush: number = PALETTE.lanternPink): void {
  for (const side of [-1, 1]) {
    builder.part(LIMBS.eyes).paint(eye).ball(side * 0.125, 1.2, 0.277, 0.044, 0.064, 0.03, { rows: 5, sides: 8, smooth: true });
    if (!isPlain) builder.shine(PALETTE.white, 0.5).ball(side * 0.125 + 0.014, 1.225, 0.303, 0.017, 0.02, 0.012, { rows: 3, sides: 5 });
    builder.part(LIMBS.head).paint(blush).within({ x: side * 0.205, y: 1.115, z: 0.243, turn: side * 0.62 }, () => {
      builder.ball(0, 0, 0, 0.048, 0.03, 0.012, { rows: 4, sides: 7, smooth: true });
    });
  }
  builder.part(LIMBS.head).paint(0xb5525a);
  if (isPlain) {
    builder.box(0, 1.075, 0.287, 0.07, 0.016, 0.02);
    return;
  }
  for (const [x, y, roll] of [[-0.03, 1.088, -0.45], [0, 1.08, 0], [0.03, 1.088, 0.45]] as const) {
    builder.within({ x, y, z: 0.287, roll }, () => builder.box(0, -0.008, 0, 0.036, 0.016, 0.02));
  }
}
