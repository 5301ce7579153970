import { angleOfYaw, easing, mixAngles, yawOfAngle } from "../core/angles";
import { clamp } from "../core/numbers";
import { nearestFree, RUN_M_PER_S, walk, WALK_M_PER_S, type Ground, type Spot } from "../ground/movement";
import type { Position } from "../api";

const JUMP_M_PER_S = 5.2;
const GRAVITY_M_PER_S2 = 14;
const MOST_FRAME_S = 0.1;
const HEIGHT_UNIT_M = 0.02;
const MOST_HEIGHT = 255;

/** What the player wants in a frame. */
export interface Wish {
  right: number;
  forward: number;
  walks: boolean;
  /** Direction in which the camera looks. */
  cameraRad: number;
}

/** The own avatar's movement, by the same rules as the gateway's. */
export class Walker {
  x = 0;
  z = 0;
  angleRad = 0;
  jumpM = 0;
  gait = 0;
  private riseMPerS = 0;
  private last = "";
  private readonly ground: Ground;

  constructor(ground: Ground) {
    this.ground = ground;
  }

  /** Stand somewhere else. */
  put(x: number, z: number, yaw?: number): void {
    const spot = nearestFree(this.ground, { x, z });
    [this.x, this.z] = [spot.x, spot.z];
    if (yaw !== undefined) this.angleRad = angleOfYaw(yaw);
  }

  /** Jump, if standing on the ground. */
  jump(): void {
    if (this.jumpM === 0 && this.riseMPerS === 0) this.riseMPerS = JUMP_M_PER_S;
  }

  /** Go on with a frame. */
  update(wish: Wish, seconds: number): void {
    const frameS = Math.min(seconds, MOST_FRAME_S);
    this.fall(frameS);
    const push = clamp(Math.hypot(wish.right, wish.forward), 0, 1);
    if (push > 0) this.go(wish, push, frameS);
    const ground = push === 0 ? 0 : wish.walks || push < 0.6 ? 1 : 2;
    this.gait = this.jumpM > 0 ? 3 : ground;
  }

  /** The position for the gateway if it differs from the last one asked for, else null. */
  changed(seat: number): Position | null {
    const height = clamp(Math.round(this.jumpM / HEIGHT_UNIT_M), 0, MOST_HEIGHT);
    const position = { seat, x: cm(this.x), z: cm(this.z), height, yaw: yawOfAngle(this.angleRad), gait: this.gait };
    const key = Object.values(position).join(" ");
    if (key === this.last) return null;
    this.last = key;
    return position;
  }

  private go(wish: Wish, push: number, seconds: number): void {
    const [sin, cos] = [Math.sin(wish.cameraRad), Math.cos(wish.cameraRad)];
    const direction: Spot = {
      x: sin * wish.forward - cos * wish.right, z: cos * wish.forward + sin * wish.right,
    };
    const speed = wish.walks ? WALK_M_PER_S : push < 0.6 ? WALK_M_PER_S : RUN_M_PER_S * Math.min(1, push);
    const to = walk(this.ground, this, direction, speed, seconds);
    [this.x, this.z] = [to.x, to.z];
    this.angleRad = mixAngles(this.angleRad, Math.atan2(direction.x, direction.z), easing(13, seconds));
  }

  private fall(seconds: number): void {
    if (this.jumpM === 0 && this.riseMPerS === 0) return;
    this.jumpM += this.riseMPerS * seconds;
    this.riseMPerS -= GRAVITY_M_PER_S2 * seconds;
    if (this.jumpM <= 0) [this.jumpM, this.riseMPerS] = [0, 0];
  }
}

function cm(meters: number): number {
  return Math.round(meters * 100) / 100;
}
