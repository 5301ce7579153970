import { BufferAttribute, BufferGeometry, Euler, Matrix4, Quaternion, Vector3 } from "three";
import { seeded } from "../core/random";
import { addRadialNormals, flatNormal, isPoint } from "./normals";
import { extent, sortBySize, type Shape } from "./sizes";

/** A corner of a shape: its place and, from 0 to 1, how far up the shape it is. */
export interface Corner {
  x: number;
  y: number;
  z: number;
  up: number;
  normal?: Vector3;
}

/** Where a part is put: moved, turned (about the vertical, then tilted) and scaled. */
export interface Where {
  x?: number;
  y?: number;
  z?: number;
  turn?: number;
  tilt?: number;
  roll?: number;
  scale?: number | readonly [number, number, number];
}

/** A corner of a profile that is turned about the vertical axis: radius and height. */
export type ProfilePoint = readonly [radiusM: number, heightM: number];

const CHANNEL = 255;
const UP = new Vector3(0, 1, 0);
const FLAT_M = 0.012;

/**
 * Collects coloured triangles and makes one geometry of them, so that whole places cost one draw.
 *
 * Corners carry a colour, how much they glow in the evening, how much they sway in the wind and, for figures, the
 * index of the limb that they belong to.
 */
export class MeshBuilder {
  private readonly positions: number[] = [];
  private readonly normals: number[] = [];
  private readonly colors: number[] = [];
  private readonly extras: number[] = [];
  private readonly indexes: number[] = [];
  private readonly random: () => number;
  private readonly fineness: number;
  private matrix = new Matrix4();
  private bottom = [1, 1, 1];
  private top = [1, 1, 1];
  private glow = 0;
  private swayBottom = 0;
  private swayTop = 0;
  private limb = 0;
  private openness = 0;
  private jitter = 0.035;
  private isRound = false;
  private readonly shapes: Shape[] = [];
  private isInShape = false;

  /** @param fineness below 1, round shapes get fewer sides. */
  constructor(seed = 1, fineness = 1) {
    this.random = seeded(seed);
    this.fineness = fineness;
  }

  /** Use a colour, or a gradient from the bottom to the top of the following shapes. */
  paint(bottom: number, top: number = bottom): this {
    this.bottom = channels(bottom);
    this.top = channels(top);
    this.glow = 0;
    return this;
  }

  /** Use a colour that shines in the evening; 1 shines fully. */
  shine(color: number, glow = 1, top: number = color): this {
    this.paint(color, top);
    this.glow = glow;
    return this;
  }

  /** How far the following shapes sway in the wind at their bottom and top, 1 for the tips of high grass. */
  sway(top: number, bottom = 0): this {
    this.swayTop = top;
    this.swayBottom = bottom;
    return this;
  }

  /** How far the following shapes are lit alike on all sides: 1 for paper and petals that the sun shines through. */
  open(share: number): this {
    this.openness = share;
    return this;
  }

  /** The limb of a figure that the following shapes belong to. */
  part(limb: number): this {
    this.limb = limb;
    return this;
  }

  /** How much the brightness differs from face to face. */
  uneven(share: number): this {
    this.jitter = share;
    return this;
  }

  /** Build something inside a moved, turned and scaled frame. */
  within(where: Where, build: () => void): this {
    const before = this.matrix;
    this.matrix = before.clone().multiply(matrixOf(where));
    build();
    this.matrix = before;
    return this;
  }

  /** A box that stands on a point. */
  box(x: number, y: number, z: number, width: number, height: number, depth: number): this {
    return this.taper(x, y, z, width, depth, height, width, depth);
  }

  /** A box whose top may be smaller or larger than its bottom. */
  taper(
    x: number, y: number, z: number,
    width: number, depth: number, height: number, topWidth: number, topDepth: number,
  ): this {
    const ring = (w: number, d: number, up: number): Corner[] => [
      { x: x - w / 2, y: y + height * up, z: z + d / 2, up },
      { x: x + w / 2, y: y + height * up, z: z + d / 2, up },
      { x: x + w / 2, y: y + height * up, z: z - d / 2, up },
      { x: x - w / 2, y: y + height * up, z: z - d / 2, up },
    ];
    return this.rings([ring(width, depth, 0), ring(topWidth, topDepth, 1)], true);
  }

  /** A tube, cone or prism that stands on a point. */
  tube(x: number, y: number, z: number, bottomM: number, topM: number, height: number, sides = 8): this {
    return this.lathe(x, y, z, [[bottomM, 0], [topM, height]], sides);
  }

  /** A shape turned about the vertical; open ends with a radius get a lid. */
  lathe(x: number, y: number, z: number, profile: readonly ProfilePoint[], sides = 8, lids = true): this {
    const heights = profile.map(([, height]) => height);
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    const count = this.sidesOf(sides, 5);
    const rings = profile.map(([radius, height]) =>
      Array.from({ length: count }, (_, side): Corner => {
        const angle = ((side + 0.5) / count) * Math.PI * 2;
        const up = high > low ? (height - low) / (high - low) : 0;
        return { x: x + Math.sin(angle) * radius, y: y + height, z: z + Math.cos(angle) * radius, up };
      }),
    );
    if (!this.isRound) return this.rings(rings, lids);
    rings.forEach((ring, row) => addRadialNormals(ring, x, z, profile, row));
    return this.shape(() => this.smoothRings(rings));
  }

  /** Let turned shapes look round and share corners, which is cheaper; they then have no lids. */
  round(isRound: boolean): this {
    this.isRound = isRound;
    return this;
  }

  /** A ball or egg about a point; `rough` moves its corners, as for stones and the crowns of trees. */
  ball(
    x: number, y: number, z: number,
    radiusX: number, radiusY = radiusX, radiusZ = radiusX,
    options: { rows?: number; sides?: number; rough?: number; smooth?: boolean } = {},
  ): this {
    const { rough = 0, smooth = false } = options;
    const rows = this.sidesOf(options.rows ?? 5, 3);
    const sides = this.sidesOf(options.sides ?? 8, 5);
    const rings = Array.from({ length: rows + 1 }, (_, row) => {
      const polar = (row / rows) * Math.PI;
      return Array.from({ length: sides }, (_unused, side): Corner => {
        const angle = ((side + (row % 2) * 0.5) / sides) * Math.PI * 2;
        const isPole = row === 0 || row === rows;
        const grow = isPole ? 1 : 1 + (this.random() - 0.5) * 2 * rough;
        const nx = Math.sin(polar) * Math.sin(angle);
        const ny = -Math.cos(polar);
        const nz = Math.sin(polar) * Math.cos(angle);
        const corner: Corner = {
          x: x + nx * radiusX * grow, y: y + ny * radiusY * grow, z: z + nz * radiusZ * grow, up: (ny + 1) / 2,
        };
        if (smooth) corner.normal = new Vector3(nx / radiusX, ny / radiusY, nz / radiusZ).normalize();
        return corner;
      });
    });
    return smooth ? this.shape(() => this.smoothRings(rings)) : this.rings(rings, false);
  }

  /** A roof with a ridge along x; the walls below it are `width` by `depth`. */
  gable(x: number, y: number, z: number, width: number, height: number, depth: number): this {
    const [left, right, front, back] = [x - width / 2, x + width / 2, z + depth / 2, z - depth / 2];
    const corner = (cx: number, cy: number, cz: number): Corner => ({ x: cx, y: cy, z: cz, up: (cy - y) / height });
    const [ridgeLeft, ridgeRight] = [corner(left, y + height, z), corner(right, y + height, z)];
    return this.shape(() => {
      this.face([corner(left, y, front), corner(right, y, front), ridgeRight, ridgeLeft]);
      this.face([corner(right, y, back), corner(left, y, back), ridgeLeft, ridgeRight]);
      this.face([corner(right, y, front), corner(right, y, back), ridgeRight]);
      this.face([corner(left, y, back), corner(left, y, front), ridgeLeft]);
      this.face([corner(left, y, back), corner(right, y, back), corner(right, y, front), corner(left, y, front)]);
    });
  }

  /** A flat ring on the ground, seen from above. */
  ring(x: number, y: number, z: number, innerM: number, outerM: number, sides = 24, from = 0, to = 1): this {
    const count = this.sidesOf(sides, 8);
    const at = (angle: number, radius: number): Corner => ({
      x: x + Math.sin(angle) * radius, y, z: z + Math.cos(angle) * radius, up: 0,
    });
    return this.shape(() => {
      for (let side = 0; side < count; side += 1) {
        const a = (from + ((to - from) * side) / count) * Math.PI * 2;
        const b = (from + ((to - from) * (side + 1)) / count) * Math.PI * 2;
        this.face([at(a, innerM), at(a, outerM), at(b, outerM), at(b, innerM)]);
      }
    });
  }

  /** A flat star with a thickness, standing upright and facing both ways; very thin ones have a front only. */
  star(x: number, y: number, z: number, outerM: number, innerM: number, thickM: number, points = 5): this {
    const rim = Array.from({ length: points * 2 }, (_, index): Corner => {
      const angle = (index / (points * 2)) * Math.PI * 2;
      const radius = index % 2 === 0 ? outerM : innerM;
      return { x: x + Math.sin(angle) * radius, y: y + Math.cos(angle) * radius, z, up: 0.4 };
    });
    return this.shape(() => rim.forEach((corner, index) => {
      const next = rim[(index + 1) % rim.length] ?? corner;
      this.face([next, corner, { x, y, z: z + thickM, up: 1 }]);
      if (thickM > FLAT_M) this.face([corner, next, { x, y, z: z - thickM, up: 1 }]);
    }));
  }

  /** A thin rod from one point to another. */
  rod(from: readonly [number, number, number], to: readonly [number, number, number], radiusM: number, sides = 4): this {
    const start = new Vector3(...from);
    const along = new Vector3(...to).sub(start);
    const length = along.length();
    const turn = new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), along.normalize());
    const before = this.matrix;
    this.matrix = before.clone().multiply(new Matrix4().compose(start, turn, new Vector3(1, 1, 1)));
    this.tube(0, 0, 0, radiusM, radiusM, length, sides);
    this.matrix = before;
    return this;
  }

  /** Rings of corners joined from the bottom to the top; `lids` closes the ends. */
  rings(rings: readonly (readonly Corner[])[], lids: boolean): this {
    return this.shape(() => {
      for (let row = 0; row + 1 < rings.length; row += 1) this.band(rings[row] ?? [], rings[row + 1] ?? []);
      const [first, last] = [rings[0], rings.at(-1)];
      if (lids && first) this.face([...first].reverse());
      if (lids && last) this.face([...last]);
    });
  }

  private band(lower: readonly Corner[], upper: readonly Corner[]): void {
    lower.forEach((corner, side) => {
      const next = lower[(side + 1) % lower.length] ?? corner;
      const above = upper[side] ?? corner;
      const aboveNext = upper[(side + 1) % upper.length] ?? above;
      this.face([corner, next, aboveNext, above]);
    });
  }

  /** Rings whose corners have normals of their own; neighbouring faces share them. */
  private smoothRings(rings: readonly (readonly Corner[])[]): this {
    const firsts = rings.map((ring) => {
      const first = this.positions.length / 3;
      for (const corner of ring) {
        this.push(corner.up, this.placed(corner), (corner.normal ?? UP).clone().transformDirection(this.matrix), 1);
      }
      return first;
    });
    for (let row = 0; row + 1 < rings.length; row += 1) {
      const [lower, upper, sides] = [firsts[row] ?? 0, firsts[row + 1] ?? 0, rings[row]?.length ?? 0];
      for (let side = 0; side < sides; side += 1) {
        const next = (side + 1) % sides;
        if (!isPoint(rings[row])) this.indexes.push(lower + side, lower + next, upper + next);
        if (!isPoint(rings[row + 1])) this.indexes.push(lower + side, upper + next, upper + side);
      }
    }
    return this;
  }

  /** A flat face, counter-clockwise as seen from outside. Corners that fall together are left out. */
  face(corners: readonly Corner[]): this {
    return this.shape(() => this.addFace(corners));
  }

  private addFace(corners: readonly Corner[]): void {
    const points: Vector3[] = [];
    const kept = corners.filter((corner, index) => {
      const before = corners[(index + corners.length - 1) % corners.length];
      const isNew = !before || Math.abs(before.x - corner.x) + Math.abs(before.y - corner.y) + Math.abs(before.z - corner.z) > 1e-6;
      if (isNew) points.push(this.placed(corner));
      return isNew;
    });
    const normal = flatNormal(points);
    if (!normal) return;
    const shade = 1 + (this.random() - 0.5) * 2 * this.jitter;
    const first = this.positions.length / 3;
    kept.forEach((corner, index) => {
      const own = corner.normal ? corner.normal.clone().transformDirection(this.matrix) : normal;
      this.push(corner.up, points[index] ?? UP, own, shade);
      if (index > 1) this.indexes.push(first, first + index - 1, first + index);
    });
  }

  /** Note where a shape begins and ends, and how large it is. What it is made of belongs to it. */
  private shape(build: () => unknown): this {
    if (this.isInShape) {
      build();
      return this;
    }
    const [from, fromPosition] = [this.indexes.length, this.positions.length];
    this.isInShape = true;
    build();
    this.isInShape = false;
    if (this.indexes.length > from) this.shapes.push({ from, to: this.indexes.length, sizeM: extent(this.positions, fromPosition) });
    return this;
  }

  /** The collected triangles as one geometry. */
  geometry(): BufferGeometry {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(this.positions), 3));
    geometry.setAttribute("normal", new BufferAttribute(new Int8Array(this.normals), 4, true));
    geometry.setAttribute("color", new BufferAttribute(new Uint8Array(this.colors), 4, true));
    geometry.setAttribute("aExtra", new BufferAttribute(new Uint8Array(this.extras), 4));
    const Indexes = this.positions.length / 3 > 65535 ? Uint32Array : Uint16Array;
    const { indexes, sizes } = sortBySize(this.indexes, this.shapes);
    geometry.setIndex(new BufferAttribute(new Indexes(indexes), 1));
    geometry.userData.sizes = sizes;
    geometry.computeBoundingSphere();
    return geometry;
  }

  /** Whether nothing was built. */
  get isEmpty(): boolean {
    return this.indexes.length === 0;
  }

  private sidesOf(wanted: number, least: number): number {
    return Math.max(Math.min(wanted, least), Math.round(wanted * this.fineness));
  }

  private placed(corner: Corner): Vector3 {
    return new Vector3(corner.x, corner.y, corner.z).applyMatrix4(this.matrix);
  }

  private push(up: number, point: Vector3, normal: Vector3, shade: number): void {
    this.positions.push(point.x, point.y, point.z);
    this.normals.push(normal.x * 127, normal.y * 127, normal.z * 127, 0);
    for (let channel = 0; channel < 3; channel += 1) {
      const [low, high] = [this.bottom[channel] ?? 0, this.top[channel] ?? 0];
      this.colors.push(Math.min(CHANNEL, (low + (high - low) * up) * shade * CHANNEL));
    }
    this.colors.push(this.glow * CHANNEL);
    const sway = this.swayBottom + (this.swayTop - this.swayBottom) * up;
    this.extras.push(Math.min(CHANNEL, sway * 100), this.limb, this.openness * 100, 0);
  }
}

/** The matrix of a place. */
export function matrixOf(where: Where): Matrix4 {
  const { x = 0, y = 0, z = 0, turn = 0, tilt = 0, roll = 0, scale = 1 } = where;
  const size = typeof scale === "number" ? new Vector3(scale, scale, scale) : new Vector3(...scale);
  const rotation = new Quaternion().setFromEuler(new Euler(tilt, turn, roll, "YXZ"));
  return new Matrix4().compose(new Vector3(x, y, z), rotation, size);
}

/** Red, green and blue of a colour, each from 0 to 1. */
export function channels(color: number): [number, number, number] {
  return [((color >> 16) & 255) / CHANNEL, ((color >> 8) & 255) / CHANNEL, (color & 255) / CHANNEL];
}
