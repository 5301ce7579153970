import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { face } from "../people/body";
import type { Joints } from "../people/limbs";
import { LIMBS } from "../people/pose";

/** Joints of all bots: they are shorter and have larger heads than people. */
export const BOT_JOINTS: Joints = {
  hipY: 0.36, hipX: 0.12, shoulderY: 0.82, shoulderX: 0.22, neckY: 0.9, eyeY: 1.2, extra: [0, 0.55, -0.25],
};

const SMOOTH = { rows: 7, sides: 12, smooth: true } as const;
const LOW = { rows: 5, sides: 8, smooth: true } as const;

/** The geometry of a bot, by its id. */
export function botGeometry(bot: string, fineness: number): ReturnType<MeshBuilder["geometry"]> {
  const builder = new MeshBuilder(3, fineness).uneven(0.01).round(fineness < 1);
  (bot === "ChatbotA" ? maru : bot === "ChatbotB" ? onyu : seol)(builder);
  antenna(builder);
  return builder.geometry();
}

/** What all bots have and no player can wear: a floating star over the head. */
function antenna(builder: MeshBuilder): void {
  builder.part(LIMBS.head).shine(PALETTE.gold, 1, PALETTE.star);
  builder.within({ y: 1.9 }, () => builder.star(0, 0, 0, 0.13, 0.058, 0.05));
}

function body(builder: MeshBuilder, coat: number, belly: number, paws: number): void {
  builder.part(LIMBS.body).paint(coat).ball(0, 0.62, 0, 0.29, 0.32, 0.25, SMOOTH);
  builder.paint(belly).ball(0, 0.6, 0.075, 0.21, 0.25, 0.19, SMOOTH);
  for (const [limb, side] of [[LIMBS.leftLeg, 1], [LIMBS.rightLeg, -1]] as const) {
    builder.part(limb).paint(coat).tube(side * 0.12, 0.08, 0, 0.11, 0.13, 0.32, 8);
    builder.paint(paws).ball(side * 0.12, 0.08, 0.045, 0.13, 0.085, 0.17, LOW);
  }
  for (const [limb, side] of [[LIMBS.leftArm, 1], [LIMBS.rightArm, -1]] as const) {
    builder.part(limb).paint(coat).within({ x: side * 0.25, y: 0.84, roll: side * 0.08 }, () => {
      builder.tube(0, -0.32, 0, 0.08, 0.09, 0.32, 8).ball(0, 0, 0, 0.095, 0.095, 0.095, LOW);
      builder.paint(paws).ball(0, -0.34, 0.01, 0.088, 0.09, 0.09, LOW);
    });
  }
}

function head(builder: MeshBuilder, coat: number, muzzle: number): void {
  builder.part(LIMBS.head).paint(coat).ball(0, 1.22, 0, 0.37, 0.33, 0.31, SMOOTH);
  builder.paint(muzzle).ball(0, 1.12, 0.15, 0.2, 0.14, 0.15, SMOOTH);
}

/** Maru: a cheerful puppy in a guide's waistcoat, with a lantern in its paw and a flag for its guests. */
function maru(builder: MeshBuilder): void {
  const [coat, cream] = [0xf2a557, 0xfff1dc];
  body(builder, coat, cream, cream);
  head(builder, coat, cream);
  face(builder, false, 0x3a2b2b, 0xff9f80);
  builder.part(LIMBS.head).paint(0x3a2b2b).ball(0, 1.165, 0.298, 0.045, 0.034, 0.03, LOW);
  for (const side of [-1, 1]) {
    builder.paint(cream).ball(side * 0.125, 1.33, 0.255, 0.05, 0.03, 0.03, LOW);
    builder.within({ x: side * 0.25, y: 1.45, z: -0.02, roll: -side * 0.35 }, () => {
      builder.paint(coat).taper(0, 0, 0, 0.22, 0.12, 0.24, 0.03, 0.03).paint(0xd9824a).taper(0, 0.02, 0.045, 0.12, 0.05, 0.16, 0.02, 0.02);
    });
  }
  builder.paint(PALETTE.nightDeep, PALETTE.night).lathe(0, 1.47, 0, [[0.23, 0], [0.25, 0.05], [0.24, 0.14], [0, 0.17]], 10);
  builder.shine(PALETTE.gold, 0.8).within({ y: 1.56, z: 0.24 }, () => builder.star(0, 0, 0, 0.075, 0.033, 0.03));
  builder.paint(PALETTE.nightDeep).within({ y: 1.48, z: 0.2, tilt: 0.2 }, () => builder.box(0, 0, 0.04, 0.3, 0.03, 0.18));
  builder.part(LIMBS.body).paint(PALETTE.night).lathe(0, 0.5, 0, [[0.305, 0], [0.3, 0.2], [0.22, 0.36]], 11, false);
  builder.paint(cream).box(0, 0.52, 0.26, 0.16, 0.3, 0.06);
  builder.paint(PALETTE.lanternRed).lathe(0, 0.85, 0, [[0.2, 0], [0.24, 0.05], [0.19, 0.1]], 10).box(0.12, 0.66, 0.25, 0.1, 0.22, 0.05);
  for (const y of [0.57, 0.68]) builder.shine(PALETTE.gold, 0.5).ball(0.1, y, 0.29, 0.025, 0.025, 0.02, { rows: 3, sides: 5 });
  builder.part(LIMBS.extra).paint(coat).ball(0, 0.72, -0.3, 0.13, 0.2, 0.12, LOW).paint(cream).ball(0, 0.9, -0.26, 0.085, 0.1, 0.08, LOW);
  builder.part(LIMBS.leftArm).paint(PALETTE.woodDark).rod([0.28, 0.5, 0.02], [0.34, 0.56, 0.42], 0.022, 5);
  builder.paint(PALETTE.woodDark).tube(0.34, 0.5, 0.42, 0.05, 0.05, 0.04, 6);
  builder.shine(PALETTE.lantern, 1, PALETTE.star).lathe(0.34, 0.26, 0.42, [[0.06, 0], [0.125, 0.07], [0.125, 0.17], [0.06, 0.24]], 7);
}

/** Onyu: a calm lamb in a shawl, with a warm cup in its hooves. */
function onyu(builder: MeshBuilder): void {
  const [wool, skin] = [0xf7f2ea, 0xf3d9c6];
  body(builder, 0xf1e9df, wool, 0x8f7d86);
  builder.part(LIMBS.body).paint(0xe4dfe6, wool);
  for (let curl = 0; curl < 12; curl += 1) {
    const angle = curl * 2.399;
    const y = 0.42 + (curl / 12) * 0.36;
    builder.ball(Math.sin(angle) * 0.25, y, Math.cos(angle) * 0.2 - 0.04, 0.12, 0.11, 0.12, { rows: 4, sides: 7, smooth: true });
  }
  builder.part(LIMBS.head).paint(skin).ball(0, 1.2, 0.02, 0.335, 0.315, 0.29, SMOOTH);
  face(builder, false, 0x4a4258, 0xf2b3a8);
  builder.part(LIMBS.head).paint(0xc98f8a).ball(0, 1.15, 0.305, 0.032, 0.022, 0.02, LOW);
  builder.paint(0xe4dfe6, wool);
  for (let curl = 0; curl < 20; curl += 1) {
    const angle = curl * 2.399;
    const up = 0.36 - (curl / 20) * 0.42;
    const around = Math.sqrt(Math.max(0.02, 1 - (up / 0.4) ** 2)) * 0.33;
    const z = Math.cos(angle) * around - 0.06;
    if (up < 0.16 && z > 0.02) continue;
    builder.ball(Math.sin(angle) * around, 1.24 + up, z, 0.13, 0.12, 0.13, { rows: 4, sides: 7, smooth: true });
  }
  for (const side of [-1, 1]) {
    builder.paint(skin).within({ x: side * 0.4, y: 1.24, roll: side * -0.35 }, () => builder.ball(0, -0.03, 0, 0.13, 0.065, 0.06, LOW));
    builder.paint(0xc9b9a6, 0xe8dcc8).within({ x: side * 0.3, y: 1.42, z: -0.02 }, () => {
      builder.ball(0, 0, 0, 0.09, 0.1, 0.08, LOW).ball(side * 0.07, -0.07, 0.03, 0.06, 0.065, 0.06, LOW);
    });
  }
  builder.part(LIMBS.body).paint(0x6f8fc4, 0x8fabd8).lathe(0, 0.66, 0, [[0.37, 0], [0.33, 0.1], [0.2, 0.24], [0.16, 0.3]], 11, false);
  builder.paint(PALETTE.cream).lathe(0, 0.65, 0, [[0.375, 0], [0.372, 0.035]], 11, false);
  builder.shine(PALETTE.star, 0.6).ball(0, 0.86, 0.22, 0.045, 0.045, 0.03, LOW);
  builder.part(LIMBS.rightArm).paint(0xfff6ea, 0xe9c9a8).tube(-0.2, 0.46, 0.12, 0.07, 0.09, 0.13, 9);
  builder.shine(0xc98a5a, 0.3).tube(-0.2, 0.58, 0.12, 0.078, 0.078, 0.015, 9);
  builder.part(LIMBS.extra).paint(wool).ball(0, 0.5, -0.3, 0.1, 0.1, 0.1, LOW);
}

/** Seol: a playful snow rabbit with a ribbon and a heart on a string. */
function seol(builder: MeshBuilder): void {
  const [snow, pink] = [0xfffafc, 0xf7a8c4];
  body(builder, snow, 0xffeef4, snow);
  head(builder, snow, 0xffffff);
  face(builder, false, 0x6a2c4a, 0xff94b8);
  builder.part(LIMBS.head).paint(0xf27ba3).ball(0, 1.165, 0.298, 0.034, 0.025, 0.022, LOW);
  for (const [side, lean] of [[-1, 0.16], [1, -0.3]] as const) {
    builder.within({ x: side * 0.15, y: 1.46, z: -0.03, roll: lean }, () => {
      builder.paint(snow).ball(0, 0.26, 0, 0.085, 0.3, 0.06, SMOOTH);
      builder.paint(pink).ball(0, 0.25, 0.04, 0.045, 0.21, 0.035, LOW);
    });
  }
  builder.part(LIMBS.head).paint(0xf2608f);
  for (const side of [-1, 1]) builder.within({ x: 0.2 + side * 0.085, y: 1.47, z: 0.13, roll: side * -0.35 }, () => builder.ball(0, 0, 0, 0.085, 0.06, 0.04, LOW));
  builder.paint(0xd9487a).ball(0.2, 1.47, 0.15, 0.035, 0.035, 0.03, LOW);
  builder.part(LIMBS.body).paint(0xf2608f, pink).lathe(0, 0.4, 0, [[0.39, 0], [0.32, 0.12], [0.24, 0.3], [0.23, 0.42]], 12, false);
  builder.paint(PALETTE.white).lathe(0, 0.38, 0, [[0.4, 0], [0.39, 0.05]], 12, false).lathe(0, 0.84, 0, [[0.19, 0], [0.25, 0.04], [0.17, 0.09]], 11);
  builder.paint(PALETTE.white);
  heart(builder, 0, 0.64, 0.245, 0.075);
  builder.part(LIMBS.rightArm).paint(PALETTE.cream).rod([-0.27, 0.5, 0.03], [-0.36, 1.3, 0.16], 0.01, 3);
  builder.shine(0xff5f8f, 0.9, 0xff9ab8);
  heart(builder, -0.37, 1.42, 0.17, 0.17);
  builder.part(LIMBS.extra).paint(snow).ball(0, 0.5, -0.3, 0.12, 0.12, 0.11, LOW);
}

/** A plump heart. */
export function heart(builder: MeshBuilder, x: number, y: number, z: number, size: number): void {
  builder.within({ x, y, z, scale: size }, () => {
    for (const side of [-1, 1]) {
      builder.within({ x: side * 0.42, y: 0.3, roll: side * 0.7 }, () => builder.ball(0, -0.18, 0, 0.56, 0.86, 0.42, { rows: 5, sides: 8, smooth: true }));
    }
  });
}
