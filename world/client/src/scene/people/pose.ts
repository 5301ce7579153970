import type { EmoteKind } from "../api";

/** Limbs of a figure; their indexes are written into its corners. */
export const LIMBS = { body: 0, head: 1, leftArm: 2, rightArm: 3, leftLeg: 4, rightLeg: 5, extra: 6, eyes: 7 } as const;
/** Number of limbs. */
export const LIMB_COUNT = 8;

/** Angles of a figure's limbs in radians, and how far it is raised and leans. */
export interface Pose {
  liftM: number;
  lean: number;
  twist: number;
  sideways: number;
  headNod: number;
  headTurn: number;
  headTilt: number;
  /** Swing forwards and away from the body. */
  leftArm: number;
  leftArmOut: number;
  rightArm: number;
  rightArmOut: number;
  leftLeg: number;
  rightLeg: number;
  legsOut: number;
  extra: number;
  /** 1 is wide open, 0 is shut. */
  eyes: number;
}

/** What a figure is doing. */
export interface Motion {
  timeS: number;
  /** A number from 0 to 1 of its own, so that not all breathe at once. */
  own: number;
  speedMPerS: number;
  isInAir: boolean;
  /** Metres gone, which drives the steps. */
  strideM: number;
  /** Whether the figure keeps still when it does nothing. */
  calm?: boolean;
  emote: EmoteKind | null;
  emoteS: number;
}

/** How long emotes last; sitting lasts until the figure moves. */
export const EMOTE_S: Readonly<Record<EmoteKind, number>> = { wave: 2.4, pick_up: 1.8, jump: 1, cheer: 2.6, sit: Infinity };

/** A figure that stands. */
export function restPose(): Pose {
  return {
    liftM: 0, lean: 0, twist: 0, sideways: 0, headNod: 0, headTurn: 0, headTilt: 0, leftArm: 0, leftArmOut: 0.16,
    rightArm: 0, rightArmOut: 0.16, leftLeg: 0, rightLeg: 0, legsOut: 0, extra: 0,
    eyes: 1,
  };
}

/** The pose for what a figure is doing. */
export function poseOf(motion: Motion): Pose {
  const pose = restPose();
  if (!motion.calm) breathe(pose, motion);
  if (motion.isInAir) leap(pose);
  else if (motion.speedMPerS > 0.3) stride(pose, motion);
  if (motion.emote) EMOTES[motion.emote](pose, motion.emoteS);
  return pose;
}

function breathe(pose: Pose, { timeS, own }: Motion): void {
  const breath = Math.sin(timeS * 1.9 + own * 20);
  pose.liftM = breath * 0.008;
  pose.leftArmOut += breath * 0.03;
  pose.rightArmOut += breath * 0.03;
  pose.headNod = breath * 0.02;
  pose.headTurn = Math.sin(timeS * 0.43 + own * 33) * 0.18 * Math.max(0, Math.sin(timeS * 0.17 + own * 50));
  if ((timeS * 0.23 + own * 7) % 1 < 0.03) pose.eyes = 0;
  pose.extra = Math.sin(timeS * 2.6 + own * 12) * 0.2;
}

function stride(pose: Pose, { strideM, speedMPerS }: Motion): void {
  const run = Math.min(1, Math.max(0, (speedMPerS - 2) / 3.5));
  const phase = (strideM / (0.62 + 0.5 * run)) * Math.PI;
  const swing = (0.5 + 0.42 * run) * Math.sin(phase);
  pose.leftLeg = swing;
  pose.rightLeg = -swing;
  pose.leftArm = -swing * (0.85 + 0.25 * run);
  pose.rightArm = swing * (0.85 + 0.25 * run);
  pose.leftArmOut = pose.rightArmOut = 0.2 + 0.18 * run;
  pose.liftM = Math.abs(Math.cos(phase)) * (0.035 + 0.06 * run);
  pose.lean = 0.05 + 0.16 * run;
  pose.headNod = -pose.lean * 0.6;
  pose.headTurn = 0;
  pose.twist = swing * 0.12;
  pose.sideways = Math.sin(phase) * 0.035;
}

function leap(pose: Pose): void {
  pose.leftArmOut = pose.rightArmOut = 1.1;
  pose.leftArm = pose.rightArm = -0.3;
  pose.leftLeg = 0.55;
  pose.rightLeg = -0.35;
  pose.headNod = -0.12;
}

const EMOTES: Readonly<Record<EmoteKind, (pose: Pose, seconds: number) => void>> = {
  wave(pose, seconds) {
    pose.rightArm = 0;
    pose.rightArmOut = 2.55 + Math.sin(seconds * 11) * 0.35;
    pose.headTilt = 0.14;
    pose.sideways = 0.04;
  },
  pick_up(pose, seconds) {
    const down = Math.sin(Math.min(1, seconds / EMOTE_S.pick_up) * Math.PI);
    pose.lean = down * 1.0;
    pose.leftArm = pose.rightArm = down * 0.75;
    pose.leftLeg = pose.rightLeg = down * 0.25;
    pose.liftM = -0.1 * down;
    pose.headNod = -0.2 * down;
  },
  jump(pose, seconds) {
    const up = Math.sin(Math.min(1, seconds / EMOTE_S.jump) * Math.PI);
    pose.liftM = up * 0.75;
    pose.leftArmOut = pose.rightArmOut = 0.3 + up * 2;
    pose.leftLeg = pose.rightLeg = -up * 0.25;
    pose.legsOut = up * 0.25;
  },
  cheer(pose, seconds) {
    const beat = Math.abs(Math.sin(seconds * 6));
    pose.liftM = beat * 0.2;
    pose.leftArmOut = pose.rightArmOut = 2.5 + Math.sin(seconds * 12) * 0.25;
    pose.headNod = -0.18;
    pose.headTilt = Math.sin(seconds * 6) * 0.12;
  },
  sit(pose) {
    pose.liftM = -0.3;
    pose.leftLeg = pose.rightLeg = 1.42;
    pose.legsOut = 0.14;
    pose.leftArm = pose.rightArm = 0.42;
    pose.leftArmOut = pose.rightArmOut = 0.12;
    pose.lean = -0.06;
  },
};
