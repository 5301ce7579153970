import { describe, expect, it, vi } from "vitest";
import { PLACES, type BotStand } from "../core/places";
import { Materials } from "../light/materials";
import type { ShadowUniforms } from "../light/shadow-pass";
import type { WorldUniforms } from "../light/uniforms";
import { worldMaterial } from "../light/world-material";
import type { Pose } from "../people/pose";
import { Bot } from "./bot";

/** Return the pose of a bot that learns, after some frames. */
function poseOf(visitor: { x: number; z: number } | null, asker: number | null): Pose {
  const materials = new Materials({} as WorldUniforms, {} as ShadowUniforms);
  const bot = new Bot(materials, worldMaterial(materials, true), PLACES.bots[0] as BotStand, 0, 0);
  const taken = vi.spyOn(bot.figure, "pose");
  bot.view({ bot: "ChatbotA", stage: "training", version: 1, learned: 0 }, 100);
  if (asker !== null) bot.askers.add(asker);
  for (let frame = 0; frame < 60; frame += 1) bot.update(100 + frame / 30, 1 / 30, visitor, false);
  return taken.mock.lastCall?.[0] as Pose;
}

describe("a bot that learns", () => {
  const { x, z } = PLACES.bots[0] as BotStand;

  it("studies while nobody is there", () => {
    expect(poseOf(null, null).leftLeg).toBeCloseTo(1.2);
  });

  it("greets who comes", () => {
    const pose = poseOf({ x: x + 2, z }, null);
    expect(pose.leftLeg).toBeCloseTo(0);
    expect(pose.rightArmOut).toBeGreaterThan(1.8);
  });

  it("thinks about a question first", () => {
    const pose = poseOf({ x: x + 2, z }, 7);
    expect(pose.leftLeg).toBeCloseTo(0);
    expect(pose.rightArm).toBeCloseTo(1.85);
  });
});
