import { describe, expect, it } from "vitest";
import { seeded } from "../core/random";
import { freeShare, type Blocker } from "./camera-collision";

const flat = (): number => 0;

describe("freeShare", () => {
  it("is the whole way on open ground", () => {
    expect(freeShare({ x: 0, y: 1.5, z: 0 }, { x: 0, y: 3, z: 6 }, [], flat)).toBe(1);
  });

  it("stops before a wall between the avatar and the camera", () => {
    const wall: Blocker = { x: 0, z: 4, radius_m: 1, topM: 5 };
    expect(freeShare({ x: 0, y: 1.5, z: 0 }, { x: 0, y: 1.5, z: 6 }, [wall], flat)).toBeCloseTo(0.5, 5);
  });

  it("looks over things that are low", () => {
    const low: Blocker = { x: 0, z: 4, radius_m: 1, topM: 1 };
    expect(freeShare({ x: 0, y: 1.5, z: 0 }, { x: 0, y: 3, z: 6 }, [low], flat)).toBe(1);
  });

  it("keeps the camera above the ground and out of all blockers", () => {
    const random = seeded(2);
    const hill = (x: number, z: number): number => 3 * Math.sin(x * 0.2) * Math.cos(z * 0.2);
    for (let run = 0; run < 500; run += 1) {
      const blocker: Blocker = { x: random() * 8 - 4, z: random() * 8 - 4, radius_m: 0.5 + random(), topM: 99 };
      const target = { x: 0, y: hill(0, 0) + 1.5, z: 0 };
      const wanted = { x: random() * 16 - 8, y: random() * 6, z: random() * 16 - 8 };
      if (Math.hypot(blocker.x, blocker.z) <= blocker.radius_m) continue;
      const share = freeShare(target, wanted, [blocker], hill);
      const x = wanted.x * share;
      const z = wanted.z * share;
      const y = target.y + (wanted.y - target.y) * share;
      expect(y).toBeGreaterThan(hill(x, z) + 0.3);
      expect(Math.hypot(x - blocker.x, z - blocker.z)).toBeGreaterThan(blocker.radius_m - 1e-6);
    }
  });
});
