import type { Object3D } from "three";
import { MeshBuilder } from "../build/mesh-builder";
import { heightAt } from "../ground/terrain";
import type { Circle } from "../ground/movement";
import type { Shade } from "../ground/ground-paint";
import type { Blocker } from "../motion/camera-collision";
import { PALETTE } from "../palette";
import type { Glow } from "./glows";
import type { Pool } from "./pools";
import type { Sign } from "./signs";

/** Something small that moves by itself, such as a pinwheel. */
export interface Mover {
  /** The moving mesh's geometry. */
  builder: MeshBuilder;
  x: number;
  y: number;
  z: number;
  turn?: number;
  /** Move the mesh; called in every frame. */
  move(mesh: Object3D, timeS: number): void;
}

/** Side of the squares into which small things are sorted. */
const CELL_M = 18;

/** Everything that one place puts into the world. */
export class Site {
  readonly fineness: number;
  readonly builder: MeshBuilder;
  /** Small things that only show from near, such as flowers and goods. */
  readonly detail: MeshBuilder;
  private readonly cells = new Map<string, MeshBuilder>();
  readonly glows: Glow[] = [];
  readonly pools: Pool[] = [];
  readonly shades: Shade[] = [];
  /** Things that avatars do not walk through, besides the obstacles of `places.json`. */
  readonly circles: Circle[] = [];
  readonly blockers: Blocker[] = [];
  readonly signs: Sign[] = [];
  readonly movers: Mover[] = [];

  /** @param fineness below 1, round shapes get fewer sides. */
  constructor(seed: number, fineness: number) {
    this.fineness = fineness;
    this.builder = new MeshBuilder(seed, fineness);
    this.detail = new MeshBuilder(seed + 1, fineness);
  }

  /** Stand something on the ground at a point. */
  stand(x: number, z: number, turn: number, build: (builder: MeshBuilder) => void, lift = 0): void {
    this.builder.within({ x, y: heightAt(x, z) + lift, z, turn }, () => build(this.builder));
  }

  /** Stand something small on the ground that only shows from near. */
  strew(x: number, z: number, turn: number, build: (builder: MeshBuilder) => void, lift = 0): void {
    const builder = this.strewnAt(x, z);
    builder.within({ x, y: heightAt(x, z) + lift, z, turn }, () => build(builder));
  }

  /** What was strewn, by where it is, so that only what is near is drawn. */
  get strewn(): MeshBuilder[] {
    return [...this.cells.values()];
  }

  private strewnAt(x: number, z: number): MeshBuilder {
    const key = `${Math.floor(x / CELL_M)} ${Math.floor(z / CELL_M)}`;
    const cell = this.cells.get(key) ?? new MeshBuilder(this.cells.size + 1, this.fineness);
    this.cells.set(key, cell);
    return cell;
  }

  /** Darken the ground under something. */
  shade(x: number, z: number, radiusM: number, strength = 0.3): void {
    this.shades.push({ x, z, radiusM, strength });
  }

  /** Keep avatars out of something small. */
  block(x: number, z: number, radiusM: number): void {
    this.circles.push({ x, z, radius_m: radiusM });
  }

  /** A light in the air with its pool on the ground. */
  light(x: number, y: number, z: number, color: number, sizeM = 1.6, poolM = 4): void {
    this.glows.push({ x, y: heightAt(x, z) + y, z, color, sizeM });
    if (poolM > 0) this.pools.push({ x, z, radiusM: poolM, color });
  }

  /** A lamp post with a round paper lantern. */
  lamp(x: number, z: number, color: number = PALETTE.lantern): void {
    this.stand(x, z, 0, (builder) => {
      builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.16, 0.12, 0.25, 6).tube(0, 0.2, 0, 0.06, 0.05, 2.5, 5);
      builder.paint(PALETTE.woodDark).box(0, 2.62, 0, 0.1, 0.08, 0.1);
      builder.shine(color, 1, PALETTE.cream).lathe(0, 2.66, 0, [[0.14, 0], [0.27, 0.14], [0.27, 0.34], [0.14, 0.5]], 6);
      builder.paint(PALETTE.roofTile).tube(0, 3.14, 0, 0.3, 0, 0.2, 6);
    });
    this.light(x, 2.95, z, color);
    this.block(x, z, 0.18);
    this.shade(x, z, 0.6, 0.3);
  }

  /** A wooden bench; it faces +z before it is turned. */
  bench(x: number, z: number, turn: number): void {
    this.stand(x, z, turn, (builder) => {
      builder.paint(PALETTE.woodLight);
      for (const back of [-0.2, 0.02, 0.24]) builder.box(0, 0.44, back, 1.7, 0.07, 0.19);
      for (const up of [0.68, 0.92]) builder.within({ y: up, z: -0.32, tilt: -0.18 }, () => builder.box(0, 0, 0, 1.7, 0.17, 0.06));
      builder.paint(PALETTE.woodDark);
      for (const side of [-0.7, 0.7]) builder.box(side, 0, 0.18, 0.1, 0.45, 0.1).box(side, 0, -0.28, 0.1, 1.1, 0.08);
    });
    this.block(x, z, 0.55);
    this.shade(x, z, 1.2, 0.3);
  }

  /** A clump of flowers. */
  flowers(x: number, z: number, colors: readonly number[], count = 5, spreadM = 0.5, lift = 0): void {
    const shown = Math.ceil(count * this.fineness);
    for (let index = 0; index < shown; index += 1) {
      const angle = index * 2.4;
      const distance = spreadM * Math.sqrt((index + 0.5) / shown);
      const [fx, fz] = [x + Math.sin(angle) * distance, z + Math.cos(angle) * distance];
      const tall = 0.2 + ((index * 37) % 10) * 0.016;
      this.strew(fx, fz, angle, (builder) => blossom(builder, tall, colors[index % colors.length] ?? PALETTE.white), lift);
    }
  }
}

/** A flower: a thin stalk with a leaf, and a head of five petals about a golden middle. */
export function blossom(builder: MeshBuilder, tall: number, color: number): void {
  builder.open(0.8).sway(0.5).paint(PALETTE.leafDark, PALETTE.leafLight).tube(0, -0.03, 0, 0.022, 0.012, tall, 3);
  builder.within({ roll: 0.7 }, () => builder.tube(0, 0, 0, 0.035, 0, tall * 0.6, 3));
  builder.sway(0.5, 0.5).paint(color).tube(0, tall - 0.01, 0, 0.025, 0.095, 0.05, 5);
  builder.paint(PALETTE.gold).tube(0, tall + 0.03, 0, 0.035, 0.02, 0.025, 4).sway(0).open(0);
}
