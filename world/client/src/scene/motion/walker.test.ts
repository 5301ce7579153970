import { describe, expect, it } from "vitest";
import { Walker } from "./walker";

const open = { radius_m: 96, obstacles: [] };

function run(walker: Walker, seconds: number, wish: { right: number; forward: number; walks?: boolean; cameraRad?: number }): void {
  for (let at = 0; at < seconds - 1e-9; at += 1 / 60) walker.update({ walks: false, cameraRad: Math.PI, ...wish }, 1 / 60);
}

describe("Walker", () => {
  it("goes where the camera looks: north with the first camera", () => {
    const walker = new Walker(open);
    run(walker, 1, { right: 0, forward: 1 });
    expect(walker.z).toBeCloseTo(-6, 1);
    expect(walker.x).toBeCloseTo(0, 5);
    expect(walker.gait).toBe(2);
  });

  it("goes to the right of the camera", () => {
    const walker = new Walker(open);
    run(walker, 1, { right: 1, forward: 0 });
    expect(walker.x).toBeCloseTo(6, 1);
  });

  it("walks slowly with Shift", () => {
    const walker = new Walker(open);
    run(walker, 1, { right: 0, forward: 1, walks: true });
    expect(walker.z).toBeCloseTo(-2, 1);
    expect(walker.gait).toBe(1);
  });

  it("jumps and lands", () => {
    const walker = new Walker(open);
    walker.jump();
    run(walker, 0.3, { right: 0, forward: 0 });
    expect(walker.jumpM).toBeGreaterThan(0.5);
    expect(walker.gait).toBe(3);
    run(walker, 1, { right: 0, forward: 0 });
    expect(walker.jumpM).toBe(0);
    expect(walker.gait).toBe(0);
  });

  it("reports changes once", () => {
    const walker = new Walker(open);
    expect(walker.changed(4)).toMatchObject({ seat: 4, x: 0, z: 0, gait: 0 });
    expect(walker.changed(4)).toBeNull();
    run(walker, 0.1, { right: 0, forward: 1 });
    expect(walker.changed(4)).toMatchObject({ gait: 2 });
  });
});
