import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { Site } from "./site";

const ANCHOR = { x: -29, z: -15 } as const;
const BASKET_M = 4.6;
const GORES = 12;
const COLORS = [0xf26a52, 0xfff2dc, 0xffc857, 0xfff2dc] as const;

/** A hot-air balloon that floats on a rope beside the way to the library. */
export function balloon(fineness: number): Site {
  const site = new Site(808, fineness);
  const builder = new MeshBuilder(88, site.fineness);
  envelope(builder);
  basket(builder);
  site.movers.push({
    builder, ...ANCHOR, y: BASKET_M,
    move: (mesh, timeS) => {
      mesh.position.y = BASKET_M + Math.sin(timeS * 0.45) * 0.35;
      mesh.rotation.set(Math.sin(timeS * 0.37) * 0.025, timeS * 0.03, Math.cos(timeS * 0.31) * 0.025);
    },
  });
  site.stand(ANCHOR.x, ANCHOR.z, 0, (ground) => {
    ground.paint(PALETTE.stoneDark, PALETTE.stone).tube(0, 0, 0, 1.7, 1.5, 0.25, 9);
    for (let sack = 0; sack < 6; sack += 1) {
      const angle = (sack / 6) * Math.PI * 2;
      ground.paint(PALETTE.pathEdge, PALETTE.sand).ball(Math.sin(angle) * 1.15, 0.42, Math.cos(angle) * 1.15, 0.34, 0.28, 0.34, { rows: 4, sides: 6 });
    }
    ground.paint(PALETTE.woodDark).tube(0, 0.2, 0, 0.16, 0.12, 0.6, 6);
    ground.paint(PALETTE.cream).rod([0, 0.7, 0], [0, BASKET_M + 0.2, 0], 0.035, 4);
  });
  site.block(ANCHOR.x, ANCHOR.z, 1.6);
  site.shade(ANCHOR.x, ANCHOR.z, 4.5, 0.28);
  site.glows.push({ ...ANCHOR, y: BASKET_M + 2.6, color: PALETTE.lantern, sizeM: 9 });
  site.pools.push({ ...ANCHOR, radiusM: 7, color: PALETTE.lantern, strength: 0.35 });
  return site;
}

function envelope(builder: MeshBuilder): void {
  const profile = [[0.7, 3], [1.9, 4.4], [3.2, 6.4], [3.75, 8.2], [3.4, 10.1], [2.2, 11.5], [0.8, 12.1], [0, 12.2]] as const;
  for (let gore = 0; gore < GORES; gore += 1) {
    builder.open(0.6).shine(COLORS[gore % COLORS.length] ?? PALETTE.cream, 0.55).uneven(0.015);
    const [a, b] = [(gore / GORES) * Math.PI * 2, ((gore + 1) / GORES) * Math.PI * 2];
    profile.slice(0, -1).forEach(([radius, y], row) => {
      const [nextRadius, nextY] = profile[row + 1] ?? [radius, y];
      const at = (angle: number, r: number, h: number): { x: number; y: number; z: number; up: number } => ({
        x: Math.sin(angle) * r, y: h, z: Math.cos(angle) * r, up: 0,
      });
      builder.face([at(a, radius, y), at(b, radius, y), at(b, nextRadius, nextY), at(a, nextRadius, nextY)]);
    });
  }
  for (let star = 0; star < 6; star += 1) {
    const angle = ((star * 2 + 1.5) / GORES) * Math.PI * 2;
    builder.shine(PALETTE.gold, 1).within({ turn: angle }, () => builder.within({ z: 3.72, y: 8.2 }, () => builder.star(0, 0, 0, 0.62, 0.27, 0.1)));
  }
  builder.open(0);
}

function basket(builder: MeshBuilder): void {
  builder.paint(PALETTE.wood, PALETTE.woodLight).taper(0, 0, 0, 1.25, 1.25, 0.95, 1.45, 1.45);
  builder.paint(PALETTE.woodDark).box(0, 0.92, 0, 1.56, 0.14, 1.56);
  builder.shine(PALETTE.lantern, 1, PALETTE.star).tube(0, 2.3, 0, 0.22, 0.05, 0.6, 6);
  for (const x of [-0.65, 0.65]) {
    for (const z of [-0.65, 0.65]) {
      builder.paint(PALETTE.woodDark).rod([x, 1, z], [x * 0.9, 3.1, z * 0.9], 0.03);
      builder.paint(PALETTE.sand, PALETTE.pathEdge).ball(x * 1.25, 0.55, z * 1.05, 0.17, 0.24, 0.17, { rows: 4, sides: 5 });
    }
  }
}
