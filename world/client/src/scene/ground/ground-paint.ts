import { CanvasTexture, LinearFilter, LinearMipmapLinearFilter, LinearMipmapNearestFilter } from "three";
import { pick } from "../core/numbers";
import { PLACES, placeOf } from "../core/places";
import { seeded } from "../core/random";
import { PALETTE } from "../palette";
import { PATHS, type Path } from "./paths";
import { SHORE_RADIUS_M } from "./terrain";

/** Half the side of the painted ground. */
export const GROUND_HALF_M = 104;

/** A soft dark spot under something that stands on the ground. */
export interface Shade {
  x: number;
  z: number;
  radiusM: number;
  strength: number;
}

type Brush = CanvasRenderingContext2D;

/** The painted ground: meadows, paths, shores, and the shade under trees and buildings, seen from above. */
export class GroundPaint {
  readonly texture: CanvasTexture;
  private readonly brush: Brush;

  /** @param isFine filter better, which costs much without a graphics card. */
  constructor(texels: number, isFine: boolean) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = texels;
    const brush = canvas.getContext("2d");
    if (!brush) throw new Error("no 2D canvas");
    const scale = texels / (GROUND_HALF_M * 2);
    brush.setTransform(scale, 0, 0, scale, texels / 2, texels / 2);
    paintMeadow(brush);
    paintShore(brush);
    paintPathsAndYards(brush);
    paintStones(brush);
    this.brush = brush;
    this.texture = groundTexture(canvas, isFine);
  }

  /** Darken the ground under things; shown after {@link flush}. */
  shades(shades: readonly Shade[]): void {
    for (const shade of shades) paintShade(this.brush, shade);
  }

  /** Send what was painted to the graphics card. */
  flush(): void {
    this.texture.needsUpdate = true;
  }
}

function groundTexture(canvas: HTMLCanvasElement, isFine: boolean): CanvasTexture {
  const texture = new CanvasTexture(canvas);
  texture.minFilter = isFine ? LinearMipmapLinearFilter : LinearMipmapNearestFilter;
  texture.magFilter = LinearFilter;
  texture.anisotropy = isFine ? 4 : 1;
  texture.flipY = false;
  return texture;
}

function css(color: number, alpha = 1): string {
  return `rgba(${color >> 16}, ${(color >> 8) & 255}, ${color & 255}, ${alpha})`;
}

function paintMeadow(brush: Brush): void {
  const random = seeded(21);
  brush.fillStyle = css(PALETTE.grass);
  brush.fillRect(-GROUND_HALF_M, -GROUND_HALF_M, GROUND_HALF_M * 2, GROUND_HALF_M * 2);
  const patches = [PALETTE.grassLight, PALETTE.grassDark, PALETTE.meadow, PALETTE.grass];
  for (let count = 0; count < 900; count += 1) {
    const color = patches[count % patches.length] ?? PALETTE.grass;
    brush.fillStyle = css(color, 0.16 + random() * 0.14);
    patch(brush, (random() * 2 - 1) * GROUND_HALF_M, (random() * 2 - 1) * GROUND_HALF_M, 2 + random() * 7, random);
  }
  for (let count = 0; count < 5200; count += 1) {
    brush.fillStyle = css(count % 2 ? PALETTE.grassDark : PALETTE.grassLight, 0.5);
    const [x, z] = [(random() * 2 - 1) * GROUND_HALF_M, (random() * 2 - 1) * GROUND_HALF_M];
    brush.fillRect(x, z, 0.14 + random() * 0.22, 0.14);
  }
}

/** An uneven round patch with soft corners; large ones have more and gentler ones. */
function patch(brush: Brush, x: number, z: number, radius: number, random: () => number): void {
  const count = Math.max(9, Math.round(radius * 3));
  const corners = Array.from({ length: count }, (_, corner): [number, number] => {
    const angle = (corner / count) * Math.PI * 2;
    const reach = radius * (1 - 2.2 / count + (random() * 3) / count);
    return [x + Math.sin(angle) * reach, z + Math.cos(angle) * reach];
  });
  brush.beginPath();
  // Once round and one corner on, so that the curve closes.
  for (let corner = 0; corner <= count; corner += 1) {
    const [[ax, az], [bx, bz]] = [pick(corners, corner), pick(corners, corner + 1)];
    if (corner === 0) brush.moveTo((ax + bx) / 2, (az + bz) / 2);
    else brush.quadraticCurveTo(ax, az, (ax + bx) / 2, (az + bz) / 2);
  }
  brush.fill();
}

/** In layers, all edges before all middles, so that what meets becomes one. */
function paintPathsAndYards(brush: Brush): void {
  for (const path of PATHS) strokePath(brush, path, 1.1, css(PALETTE.grassDark, 0.35));
  for (const path of PATHS) strokePath(brush, path, 0.35, css(PALETTE.pathEdge));
  paintYards(brush, true);
  for (const path of PATHS) strokePath(brush, path, -0.25, css(PALETTE.path));
  paintYards(brush, false);
}

/** Paint a path so much wider than it is. */
function strokePath(brush: Brush, path: Path, moreM: number, color: string): void {
  brush.lineCap = brush.lineJoin = "round";
  brush.lineWidth = path.widthM + moreM;
  brush.strokeStyle = color;
  brush.beginPath();
  traceSmoothly(brush, path.points);
  brush.stroke();
}

function traceSmoothly(brush: Brush, points: Path["points"]): void {
  points.forEach(([x, z], index) => {
    const next = points[index + 1];
    if (index === 0) brush.moveTo(x, z);
    else if (next) brush.quadraticCurveTo(x, z, (x + next[0]) / 2, (z + next[1]) / 2);
    else brush.lineTo(x, z);
  });
}

function paintShore(brush: Brush): void {
  const lake = PLACES.obstacles.find((found) => found.what === "lake");
  if (!lake) return;
  const rings: [number, string][] = [
    [SHORE_RADIUS_M + 1.6, css(PALETTE.grassDark, 0.4)],
    [SHORE_RADIUS_M + 0.8, css(PALETTE.sand)],
    [SHORE_RADIUS_M - 1.2, css(PALETTE.pathEdge)],
    [SHORE_RADIUS_M - 3, css(PALETTE.waterDeep)],
  ];
  const random = seeded(4);
  for (const [radius, color] of rings) {
    brush.fillStyle = color;
    brush.beginPath();
    for (let corner = 0; corner < 48; corner += 1) {
      const angle = (corner / 48) * Math.PI * 2;
      const reach = radius + (random() - 0.5) * 0.9;
      brush.lineTo(lake.x + Math.sin(angle) * reach, lake.z + Math.cos(angle) * reach);
    }
    brush.fill();
  }
}

/** Trodden ground in front of the library, in the market, the village and before the cave: only its edges, or all else. */
function paintYards(brush: Brush, isEdge: boolean): void {
  const yards: [string, number, number, number, number, number?][] = [
    ["library", 9, 0, 6.5, PALETTE.path],
    ["market", -1, 0, 12.5, PALETTE.path],
    ["village", 0, 1, 6, PALETTE.path],
    ["cave", 3.6, 3.4, 5.4, PALETTE.gravel, PALETTE.gravelEdge],
    ["hill", 0, 0, 4.5, PALETTE.meadow, PALETTE.grassLight],
  ];
  yards.forEach(([id, dx, dz, radius, color, edge = PALETTE.pathEdge], index) => {
    const random = seeded(8 + index);
    const { x, z } = placeOf(id);
    brush.strokeStyle = css(edge);
    brush.lineWidth = 0.5;
    brush.fillStyle = css(color);
    patch(brush, x + dx, z + dz, radius, random);
    if (isEdge) return brush.stroke();
    for (let stone = 0; stone < radius * 4; stone += 1) {
      const [angle, far] = [random() * 7, Math.sqrt(random()) * radius * 0.86];
      brush.fillStyle = css(stone % 2 ? edge : PALETTE.cream, 0.4);
      patch(brush, x + dx + Math.sin(angle) * far, z + dz + Math.cos(angle) * far, 0.15 + random() * 0.3, random);
    }
  });
}

/** Flat stones along the paths. */
function paintStones(brush: Brush): void {
  const random = seeded(31);
  for (const path of PATHS) {
    path.points.forEach(([x1, z1], index) => {
      const next = path.points[index + 1];
      if (!next) return;
      const length = Math.hypot(next[0] - x1, next[1] - z1);
      for (let at = 0; at < length; at += 0.8) {
        const share = at / length;
        const side = (random() - 0.5) * path.widthM * 0.8;
        const x = x1 + (next[0] - x1) * share + ((next[1] - z1) / length) * side;
        const z = z1 + (next[1] - z1) * share - ((next[0] - x1) / length) * side;
        brush.fillStyle = css(random() < 0.5 ? PALETTE.pathEdge : PALETTE.cream, 0.5);
        patch(brush, x, z, 0.2 + random() * 0.3, random);
      }
    });
  }
}

function paintShade(brush: Brush, shade: Shade): void {
  const soft = brush.createRadialGradient(shade.x, shade.z, shade.radiusM * 0.25, shade.x, shade.z, shade.radiusM);
  soft.addColorStop(0, `rgba(45, 55, 85, ${shade.strength})`);
  soft.addColorStop(1, "rgba(45, 55, 85, 0)");
  brush.fillStyle = soft;
  brush.fillRect(shade.x - shade.radiusM, shade.z - shade.radiusM, shade.radiusM * 2, shade.radiusM * 2);
}
