import { describe, expect, it } from "vitest";
import cases from "../../../tests/ground_cases.json";
import { PLACES } from "../core/places";
import { seeded } from "../core/random";
import { isFree, nearestFree, RUN_M_PER_S, walk, type Ground } from "./movement";

const ground: Ground = PLACES;

describe("walk", () => {
  it("never enters an obstacle and never leaves the world", () => {
    const random = seeded(3);
    const inside: unknown[] = [];
    for (let run = 0; run < 150; run += 1) {
      let at = nearestFree(ground, { x: (random() * 2 - 1) * 90, z: (random() * 2 - 1) * 90 });
      let angle = random() * Math.PI * 2;
      for (let frame = 0; frame < 100; frame += 1) {
        angle += (random() - 0.5) * 0.6;
        at = walk(ground, at, { x: Math.sin(angle), z: Math.cos(angle) }, RUN_M_PER_S, random() * 0.1);
        if (!isFree(ground, at, 1e-5)) inside.push(at);
      }
    }
    expect(inside).toEqual([]);
  });

  it("is never faster than running, but for a little when sliding round a corner", () => {
    const random = seeded(5);
    for (let run = 0; run < 3000; run += 1) {
      const near = ground.obstacles[Math.floor(random() * ground.obstacles.length)] ?? { x: 0, z: 0 };
      const from = nearestFree(ground, { x: near.x + random() * 4 - 2, z: near.z + random() * 4 - 2 });
      const seconds = 0.005 + random() * 0.1;
      const angle = random() * Math.PI * 2;
      const to = walk(ground, from, { x: Math.sin(angle), z: Math.cos(angle) }, RUN_M_PER_S, seconds);
      expect(Math.hypot(to.x - from.x, to.z - from.z)).toBeLessThan(RUN_M_PER_S * seconds * 1.05);
    }
  });

  it("goes straight where nothing is in the way, whatever the length of the direction", () => {
    const to = walk({ radius_m: 50, obstacles: [] }, { x: 0, z: 0 }, { x: 0, z: 7 }, 2, 0.5);
    expect(to.x).toBeCloseTo(0);
    expect(to.z).toBeCloseTo(1);
  });

  it("stays where it is in a gap that is too narrow", () => {
    const narrow: Ground = { radius_m: 50, obstacles: [{ x: -1, z: 2, radius_m: 0.8 }, { x: 1, z: 2, radius_m: 0.8 }] };
    let at = { x: 0, z: 0 };
    for (let frame = 0; frame < 100; frame += 1) at = walk(narrow, at, { x: 0, z: 1 }, RUN_M_PER_S, 0.05);
    expect(at.z).toBeLessThan(2);
    expect(isFree(narrow, at, 1e-5)).toBe(true);
  });

  it("leaves a point that the gateway's rule leaves as it is", () => {
    const random = seeded(9);
    let leastM = Infinity;
    for (let run = 0; run < 500; run += 1) {
      const at = nearestFree(ground, { x: (random() * 2 - 1) * 96, z: (random() * 2 - 1) * 96 });
      const rounded = { x: Math.round(at.x * 100) / 100, z: Math.round(at.z * 100) / 100 };
      for (const circle of ground.obstacles) {
        if (circle.walkways) continue;
        leastM = Math.min(leastM, Math.hypot(rounded.x - circle.x, rounded.z - circle.z) - circle.radius_m);
      }
    }
    expect(leastM).toBeGreaterThan(0.35);
  });
});

describe("nearestFree", () => {
  it.each(cases)("puts who wants $what where the gateway does", ({ wanted: [x = 0, z = 0], free }) => {
    const spot = nearestFree(ground, { x, z });
    expect(spot.x).toBeCloseTo(free[0] ?? NaN, 1);
    expect(spot.z).toBeCloseTo(free[1] ?? NaN, 1);
    expect(isFree(ground, spot, 1e-5)).toBe(true);
  });

  it("lets a walker reach the end of the pier", () => {
    let at = { x: 0.5, z: 43 };
    for (let frame = 0; frame < 200; frame += 1) at = walk(ground, at, { x: 0.1, z: 1 }, RUN_M_PER_S, 0.05);
    expect(at.z).toBeGreaterThan(56.9);
    expect(at.x).toBeLessThan(2.41);
  });
});
