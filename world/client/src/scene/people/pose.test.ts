import { describe, expect, it } from "vitest";
import { EMOTE_S, poseOf, restPose, type Motion } from "./pose";

const still: Motion = { timeS: 0, own: 0.3, speedMPerS: 0, isInAir: false, strideM: 0, emote: null, emoteS: 0 };

describe("poseOf", () => {
  it("swings arms and legs against each other", () => {
    const pose = poseOf({ ...still, speedMPerS: 6, strideM: 0.4 });
    expect(pose.leftLeg).toBeCloseTo(-pose.rightLeg);
    expect(Math.sign(pose.leftArm)).toBe(-Math.sign(pose.leftLeg));
  });

  it("sits low and stands up again", () => {
    expect(poseOf({ ...still, emote: "sit" }).liftM).toBeLessThan(-0.2);
    expect(poseOf(still).liftM).toBeGreaterThan(-0.05);
  });

  it("gives finite angles at all times of all emotes", () => {
    for (const emote of ["wave", "pick_up", "jump", "cheer", "sit"] as const) {
      for (let emoteS = 0; emoteS < Math.min(EMOTE_S[emote], 5); emoteS += 0.05) {
        const pose = poseOf({ ...still, timeS: emoteS, emote, emoteS });
        for (const key of Object.keys(restPose()) as (keyof typeof pose)[]) expect(Number.isFinite(pose[key])).toBe(true);
      }
    }
  });

  it("keeps quite still if it shall be calm, and breathes otherwise", () => {
    const at = (timeS: number, calm: boolean): unknown => poseOf({ ...still, timeS, calm });
    expect(at(0.7, true)).toEqual(at(3.1, true));
    expect(at(0.7, false)).not.toEqual(at(3.1, false));
  });
});
