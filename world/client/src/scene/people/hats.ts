import type { MeshBuilder } from "../build/mesh-builder";
import { pick } from "../core/numbers";
import { PALETTE } from "../palette";
import { LIMBS } from "./pose";

/** The six hats: none, a woollen hat, a straw hat, a beret, a Korean gat, and a wreath of flowers. */
export function hat(builder: MeshBuilder, kind: number): void {
  builder.part(LIMBS.head);
  pick(HATS, kind)(builder);
}

const HATS: readonly ((builder: MeshBuilder) => void)[] = [
  () => undefined,
  (builder) => {
    builder.paint(0xe0604f, 0xf07a63).lathe(0, 1.38, -0.03, [[0.365, 0], [0.36, 0.1], [0.26, 0.24], [0, 0.3]], 10, false);
    builder.paint(PALETTE.cream).lathe(0, 1.34, -0.03, [[0.375, 0], [0.385, 0.05], [0.37, 0.1]], 10, false);
    builder.ball(0, 1.72, -0.03, 0.09, 0.09, 0.09, { rows: 4, sides: 7, rough: 0.1 });
  },
  (builder) => {
    builder.paint(0xd9b263, 0xf0d48c).lathe(0, 1.42, -0.03, [[0.62, 0], [0.6, 0.03], [0.34, 0.05], [0.3, 0.2], [0.2, 0.26], [0, 0.27]], 12);
    builder.paint(0x5fb9ee).lathe(0, 1.465, -0.03, [[0.345, 0], [0.328, 0.07]], 12, false);
  },
  (builder) => {
    builder.paint(0x7d4fa8, 0x9a6ac8).within({ x: 0.06, y: 1.5, z: -0.04, roll: -0.22 }, () => {
      builder.ball(0, 0, 0, 0.38, 0.12, 0.36, { rows: 5, sides: 10, smooth: true }).tube(0, 0.1, 0, 0.025, 0.015, 0.09, 5);
    });
  },
  (builder) => {
    builder.paint(0x2c2a38, 0x3d3a4c).lathe(0, 1.47, -0.02, [[0.6, 0], [0.6, 0.02], [0.22, 0.035]], 16);
    builder.tube(0, 1.49, -0.02, 0.225, 0.175, 0.3, 12);
    for (const side of [-1, 1]) {
      for (const [x, y, color] of [[0.33, 1.36, PALETTE.gold], [0.335, 1.25, PALETTE.lanternRed], [0.33, 1.14, PALETTE.gold], [0.31, 1.04, PALETTE.leaf]] as const) {
        builder.paint(color).ball(side * x, y, 0.03, 0.022, 0.03, 0.022, { rows: 3, sides: 5 });
      }
    }
  },
  (builder) => {
    const colors = [PALETTE.blossom, PALETTE.gold, PALETTE.cream, PALETTE.lanternBlue];
    for (let flower = 0; flower < 11; flower += 1) {
      const angle = (flower / 11) * Math.PI * 2;
      const [x, z] = [Math.sin(angle) * 0.335, Math.cos(angle) * 0.315 - 0.03];
      builder.paint(PALETTE.leaf).ball(x * 0.98, 1.41, z * 0.98, 0.06, 0.03, 0.06, { rows: 3, sides: 5 });
      builder.paint(pick(colors, flower)).ball(x * 1.06, 1.44, z * 1.06, 0.058, 0.052, 0.058, { rows: 3, sides: 6 });
    }
  },
];
