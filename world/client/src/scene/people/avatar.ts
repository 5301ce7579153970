import type { EmoteKind, Look, PlayerView, Position } from "../api";
import { angleOfYaw, easing, mixAngles } from "../core/angles";
import { footingAt } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { PositionBuffer } from "../motion/interpolation";
import { bodyScale, JOINTS, personGeometry } from "./body";
import { Figure } from "./figure";
import { EMOTE_S, poseOf } from "./pose";

/** Metres per unit of height in the gateway's frames. */
export const HEIGHT_UNIT_M = 0.02;
/** Where a name tag floats over a figure of normal size. */
export const TAG_M = 1.86;

/** A player's body in the world. Others follow the gateway's positions; the own one is put by the walker. */
export class Avatar {
  readonly seat: number;
  readonly name: string;
  readonly figure: Figure;
  x: number;
  z: number;
  /** Height over the ground, in a jump. */
  jumpM = 0;
  angleRad: number;
  tagM = TAG_M;

  private readonly buffer = new PositionBuffer();
  private readonly own: number;
  private readonly fineness: number;
  private isInAir = false;
  private speedMPerS = 0;
  private strideM = 0;
  private emoteKind: EmoteKind | null = null;
  private emoteFromS = 0;

  constructor(materials: Materials, view: PlayerView, fineness: number) {
    this.fineness = fineness;
    this.seat = view.seat;
    this.name = view.name;
    this.own = (view.seat * 0.618) % 1;
    [this.x, this.z, this.angleRad] = [view.x, view.z, angleOfYaw(view.yaw)];
    this.figure = new Figure(materials, personGeometry(view.look, fineness), JOINTS);
    this.figure.mesh.userData.seat = view.seat;
    this.scale(view.look);
  }

  /** Change clothes. */
  dress(look: Look): void {
    this.figure.dress(personGeometry(look, this.fineness));
    this.scale(look);
  }

  /** Note a position from the gateway. */
  follow(position: Position, nowS: number): void {
    this.buffer.push({
      atS: nowS, x: position.x, z: position.z, heightM: position.height * HEIGHT_UNIT_M,
      angleRad: angleOfYaw(position.yaw), gait: position.gait,
    });
  }

  /** Put the body somewhere at once. */
  put(x: number, z: number, jumpM: number, angleRad: number): void {
    this.isInAir = jumpM > 0.02;
    [this.x, this.z, this.jumpM, this.angleRad] = [x, z, jumpM, angleRad];
  }

  /** Play an emote. */
  emote(kind: EmoteKind, nowS: number): void {
    this.emoteKind = kind;
    this.emoteFromS = nowS;
  }

  /** Say whether the body sits. */
  get isSitting(): boolean {
    return this.emoteKind === "sit";
  }

  /** Go on with a frame. `isOwn` bodies were put before; others go where the gateway says. `calm` ones do not sway. */
  update(nowS: number, seconds: number, { isOwn, calm }: { isOwn: boolean; calm: boolean }, before: { x: number; z: number }): void {
    if (!isOwn) this.interpolate(nowS, seconds);
    this.pace(before, seconds);
    if (this.emoteKind && (nowS - this.emoteFromS > EMOTE_S[this.emoteKind] || this.speedMPerS > 0.5)) this.emoteKind = null;
    this.figure.group.position.set(this.x, footingAt(this.x, this.z) + this.jumpM, this.z);
    this.figure.group.rotation.y = this.angleRad;
    this.figure.pose(poseOf({
      timeS: nowS, own: this.own, speedMPerS: this.speedMPerS, isInAir: this.isInAir, strideM: this.strideM,
      calm, emote: this.emoteKind, emoteS: nowS - this.emoteFromS,
    }));
  }

  dispose(): void {
    this.figure.dispose();
  }

  private interpolate(nowS: number, seconds: number): void {
    const sample = this.buffer.at(nowS);
    if (!sample) return;
    this.put(sample.x, sample.z, sample.heightM, mixAngles(this.angleRad, sample.angleRad, easing(18, seconds)));
  }

  /** Steps follow the way that was really gone, so feet do not slide. */
  private pace(before: { x: number; z: number }, seconds: number): void {
    const goneM = Math.hypot(this.x - before.x, this.z - before.z);
    const isJump = goneM > 3;
    const speed = seconds > 0 && !isJump ? goneM / seconds : 0;
    this.speedMPerS += (Math.min(speed, 7) - this.speedMPerS) * easing(14, seconds);
    if (!isJump) this.strideM += goneM;
  }

  private scale(look: Look): void {
    const { wide, high } = bodyScale(look);
    this.figure.group.scale.set(wide, high, wide);
    this.tagM = TAG_M * high;
  }
}
