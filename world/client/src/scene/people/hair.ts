import type { MeshBuilder } from "../build/mesh-builder";
import { pick } from "../core/numbers";
import { LIMBS } from "./pose";

const SMOOTH = { rows: 6, sides: 11, smooth: true } as const;
const LOW = { rows: 4, sides: 8, smooth: true } as const;

/** The six cuts: short, bob, long, pony tail, curls and two buns. Some hats hide what is on top of the head. */
export function hair(builder: MeshBuilder, cut: number, color: number, hat: number): void {
  builder.part(LIMBS.head).paint(darker(color), color);
  builder.ball(0, 1.275, -0.045, 0.357, 0.3, 0.335, SMOOTH);
  fringe(builder, cut);
  const isCovered = [1, 2, 3, 4].includes(((Math.trunc(hat) % 6) + 6) % 6);
  pick(CUTS, cut)(builder, isCovered);
}

function darker(color: number): number {
  const part = (shift: number): number => Math.round(((color >> shift) & 255) * 0.82) << shift;
  return part(16) | part(8) | part(0);
}

/** Strands over the forehead, a different parting for each cut. */
function fringe(builder: MeshBuilder, cut: number): void {
  const parting = ((Math.trunc(cut) % 3) - 1) * 0.08;
  for (const x of [-0.22, -0.11, 0, 0.11, 0.22]) {
    const drop = Math.abs(x - parting) * 0.28;
    builder.within({ x, y: 1.405 - drop, z: 0.235 - Math.abs(x) * 0.33, turn: x * 1.6, roll: (x - parting) * 0.9 }, () => {
      builder.ball(0, 0, 0, 0.085, 0.1, 0.05, LOW);
    });
  }
}

const CUTS: readonly ((builder: MeshBuilder, isCovered: boolean) => void)[] = [
  (builder, isCovered) => {
    builder.ball(0, 1.14, -0.17, 0.27, 0.2, 0.17, LOW);
    if (!isCovered) builder.within({ x: 0.03, y: 1.57, z: -0.02, roll: -0.5 }, () => builder.tube(0, 0, 0, 0.07, 0, 0.16, 5));
  },
  (builder) => {
    builder.ball(0, 1.12, -0.12, 0.34, 0.22, 0.23, SMOOTH);
    for (const side of [-1, 1]) builder.ball(side * 0.295, 1.12, 0.05, 0.09, 0.2, 0.14, LOW);
  },
  (builder) => {
    builder.within({ tilt: 0.1 }, () => builder.ball(0, 0.98, -0.28, 0.28, 0.42, 0.13, SMOOTH));
    for (const side of [-1, 1]) builder.ball(side * 0.29, 1.02, 0.03, 0.075, 0.28, 0.11, LOW);
  },
  (builder) => {
    builder.ball(0, 1.34, -0.37, 0.1, 0.1, 0.1, LOW);
    builder.within({ y: 1.18, z: -0.46, tilt: 0.35 }, () => builder.ball(0, -0.06, 0, 0.12, 0.26, 0.11, LOW));
  },
  (builder, isCovered) => {
    for (let curl = 0; curl < (isCovered ? 9 : 16); curl += 1) {
      const angle = curl * 2.399;
      const up = isCovered ? -0.1 + (curl % 3) * 0.08 : 0.36 - (curl / 16) * 0.5;
      const around = Math.sqrt(Math.max(0.05, 1 - (up / 0.42) ** 2)) * 0.33;
      const z = Math.cos(angle) * around - 0.07;
      if (up < 0.12 && z > 0.06) continue;
      builder.ball(Math.sin(angle) * around, 1.25 + up, z, 0.125, 0.12, 0.125, LOW);
    }
  },
  (builder, isCovered) => {
    builder.ball(0, 1.14, -0.16, 0.28, 0.2, 0.17, LOW);
    for (const side of [-1, 1]) {
      if (isCovered) builder.within({ x: side * 0.36, y: 1.0, z: -0.06, roll: side * 0.2 }, () => builder.ball(0, 0, 0, 0.09, 0.22, 0.09, LOW));
      else builder.ball(side * 0.25, 1.52, -0.04, 0.135, 0.13, 0.13, LOW);
    }
  },
];
