import { Vector3, type RawShaderMaterial } from "three";
import type { BotView, Stage } from "../api";
import { easing, mixAngles, turnBetween } from "../core/angles";
import { clamp, mix } from "../core/numbers";
import type { BotStand } from "../core/places";
import { heightAt } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { Figure } from "../people/figure";
import { restPose, type Pose } from "../people/pose";
import { BOT_JOINTS, botGeometry } from "./designs";
import { stageProp, type StageProp } from "./stage-props";

const NOTICE_M = 7;
const GREET_M = 5;
const GREET_S = 2.6;
/** How long a new version sparkles. */
const SPARKLE_S = 25;
const SIZE = 1.12;

/** A bot in the world: it looks at who comes near, greets, thinks, and shows how it is. */
export class Bot {
  readonly id: string;
  readonly figure: Figure;
  readonly at: { x: number; z: number };
  readonly tagM = 2.24;
  /** The seats whose questions the bot thinks about, the newest question last. */
  readonly askers = new Set<number>();
  stage: Stage = "ready";

  private readonly homeAngle: number;
  private readonly material: RawShaderMaterial;
  private readonly own: number;
  private angleRad: number;
  private headTurn = 0;
  private greetedAtS = -Infinity;
  private wasNear = false;
  private stageFromS = 0;
  private prop: StageProp | null = null;
  private shown: Pose = restPose();

  constructor(materials: Materials, propMaterial: RawShaderMaterial, stand: BotStand, index: number, fineness: number) {
    this.id = stand.bot;
    this.at = { x: stand.x, z: stand.z };
    this.own = index * 0.37;
    this.material = propMaterial;
    this.homeAngle = this.angleRad = (stand.yaw_deg / 180) * Math.PI;
    this.figure = new Figure(materials, botGeometry(stand.bot, fineness), BOT_JOINTS);
    this.figure.mesh.userData.bot = stand.bot;
    this.figure.group.position.set(stand.x, heightAt(stand.x, stand.z), stand.z);
    this.figure.group.scale.setScalar(SIZE);
  }

  /** Show how the bot is. */
  view(view: BotView, nowS: number): void {
    if (view.stage === this.stage) return;
    this.stage = view.stage;
    this.stageFromS = nowS;
    this.setProp(stageProp(view.stage, this.material));
  }

  /**
   * Go on with a frame.
   *
   * @param visitor the player that the bot looks at: who asked, or the nearest.
   */
  update(nowS: number, seconds: number, visitor: { x: number; z: number } | null, calm: boolean): void {
    this.notice(nowS, visitor ? Math.hypot(visitor.x - this.at.x, visitor.z - this.at.z) : Infinity);
    this.turnTo(visitor, seconds);
    const pose = this.wantedPose(nowS, calm);
    pose.headTurn += this.headTurn;
    this.ease(pose, seconds);
    this.figure.pose(this.shown);
    this.prop?.update(nowS, calm);
    const isNew = this.stage === "new_version" && nowS - this.stageFromS < SPARKLE_S;
    if (this.stage === "new_version" && !isNew) this.setProp(null);
    this.figure.tint(this.stage === "asleep" ? 0.55 : this.stage === "degraded" ? 0.4 : 0, isNew ? 0.14 : 0);
  }

  /** Where the bot's head is, for bubbles. */
  tagPoint(into: Vector3): Vector3 {
    const lift = this.stage === "ready" || this.stage === "new_version" || this.stage === "training" ? 0 : 0.62;
    return into.copy(this.figure.group.position).setY(this.figure.group.position.y + this.tagM + lift);
  }

  dispose(): void {
    this.setProp(null);
    this.figure.dispose();
  }

  private setProp(prop: StageProp | null): void {
    this.prop?.object.removeFromParent();
    this.prop?.object.traverse((object) => {
      if ("geometry" in object) (object.geometry as { dispose(): void }).dispose();
    });
    this.prop = prop;
    if (prop) this.figure.group.add(prop.object);
  }

  /** Greet who comes near when nobody was. */
  private notice(nowS: number, visitorM: number): void {
    const isNear = visitorM < GREET_M;
    if (isNear && !this.wasNear && this.stage !== "asleep") this.greetedAtS = nowS;
    this.wasNear = isNear || (this.wasNear && visitorM < GREET_M + 2);
  }

  /** The head turns at once, the body follows slowly. */
  private turnTo(visitor: { x: number; z: number } | null, seconds: number): void {
    const near = visitor && Math.hypot(visitor.x - this.at.x, visitor.z - this.at.z) < NOTICE_M ? visitor : null;
    const wanted = near ? Math.atan2(near.x - this.at.x, near.z - this.at.z) : this.homeAngle;
    this.angleRad = mixAngles(this.angleRad, wanted, easing(near ? 2.2 : 0.8, seconds));
    this.figure.group.rotation.y = this.angleRad;
    const look = near ? clamp(turnBetween(this.angleRad, wanted), -0.9, 0.9) : 0;
    this.headTurn = mix(this.headTurn, look, easing(7, seconds));
  }

  private wantedPose(nowS: number, calm: boolean): Pose {
    const pose = restPose();
    const time = calm ? 0 : nowS;
    const breath = Math.sin(time * 1.8 + this.own * 9);
    pose.liftM = breath * 0.01;
    pose.leftArmOut = pose.rightArmOut = 0.14 + breath * 0.03;
    pose.extra = Math.sin(time * (this.id === "ChatbotA" ? 9 : 3)) * 0.35;
    if (!calm && (nowS * 0.21 + this.own) % 1 < 0.028) pose.eyes = 0;
    if (this.stage === "asleep") asleep(pose, time);
    else if (this.askers.size > 0) ponder(pose, time);
    else if (nowS - this.greetedAtS < GREET_S) greet(pose, nowS - this.greetedAtS, this.id);
    else if (this.stage === "training") study(pose, time);
    else this.idle(pose, time);
    if (this.stage === "muted") pose.rightArm = 1.9;
    if (this.stage === "degraded") droop(pose);
    return pose;
  }

  /** Small gestures now and then, by temper: Maru waves its flag, Onyu sips, Seol hops. */
  private idle(pose: Pose, time: number): void {
    const beat = (time * 0.11 + this.own) % 1;
    const gesture = beat < 0.2 ? Math.sin((beat / 0.2) * Math.PI) : 0;
    if (this.id === "ChatbotA") {
      pose.leftArm = 0.35;
      pose.rightArmOut += gesture * 2.1;
      pose.headTilt = gesture * 0.15;
    } else if (this.id === "ChatbotB") {
      pose.rightArm = 0.75 + gesture * 0.75;
      pose.leftArm = 0.6;
      pose.headTilt = 0.08 + gesture * 0.05;
      pose.eyes = gesture > 0.4 ? 0 : pose.eyes;
    } else {
      pose.liftM += Math.abs(Math.sin(beat * Math.PI * 15)) * gesture * 0.16;
      pose.rightArm = 0.2;
      pose.headTilt = -0.1 + gesture * 0.22;
      pose.twist = Math.sin(time * 1.4) * 0.08;
    }
  }

  /** Poses flow into each other. */
  private ease(wanted: Pose, seconds: number): void {
    const share = easing(10, seconds);
    const next = { ...wanted };
    for (const key of Object.keys(next) as (keyof Pose)[]) next[key] = mix(this.shown[key], wanted[key], key === "eyes" ? 0.6 : share);
    this.shown = next;
  }
}

function asleep(pose: Pose, time: number): void {
  pose.eyes = 0;
  pose.headNod = 0.34 + Math.sin(time * 1.1) * 0.04;
  pose.headTilt = 0.16;
  pose.liftM = -0.2 + Math.sin(time * 1.1) * 0.012;
  pose.leftLeg = pose.rightLeg = 1.35;
  pose.legsOut = 0.2;
}

function study(pose: Pose, time: number): void {
  pose.liftM = 0.16 + Math.sin(time * 1.5) * 0.05;
  pose.leftArm = pose.rightArm = 0.95;
  pose.leftLeg = pose.rightLeg = 1.2;
  pose.legsOut = 0.3;
  pose.headNod = 0.24;
  pose.headTurn = Math.sin(time * 1.2) * 0.12;
}

function ponder(pose: Pose, time: number): void {
  pose.rightArm = 1.85;
  pose.rightArmOut = -0.35;
  pose.leftArm = 0.6;
  pose.leftArmOut = -0.2;
  pose.headTilt = 0.2 + Math.sin(time * 1.6) * 0.05;
  pose.headNod = -0.14;
  pose.sideways = Math.sin(time * 0.9) * 0.03;
}

function greet(pose: Pose, seconds: number, id: string): void {
  const begin = Math.min(1, seconds * 3);
  if (id === "ChatbotB") {
    pose.lean = 0.38 * Math.sin(Math.min(1, seconds / 2) * Math.PI);
    pose.leftArm = pose.rightArm = 0.7 * begin;
    return;
  }
  pose.rightArmOut = begin * (2.4 + Math.sin(seconds * 12) * 0.35);
  pose.headTilt = 0.16;
  if (id === "ChatbotC") {
    pose.leftArmOut = begin * (2.2 - Math.sin(seconds * 12) * 0.3);
    pose.liftM = Math.abs(Math.sin(seconds * 7)) * 0.16;
  }
}

function droop(pose: Pose): void {
  pose.headNod = 0.26;
  pose.headTilt = 0.12;
  pose.lean = 0.08;
  pose.eyes = Math.min(pose.eyes, 0.55);
}
