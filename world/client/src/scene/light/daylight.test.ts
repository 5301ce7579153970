import { describe, expect, it } from "vitest";
import { daylightAt } from "./daylight";

describe("daylightAt", () => {
  it("changes without jumps and lights lanterns and stars towards the evening", () => {
    let before = daylightAt(0);
    for (let step = 1; step <= 200; step += 1) {
      const light = daylightAt(step / 200);
      expect(light.glow).toBeGreaterThanOrEqual(before.glow);
      expect(light.stars).toBeGreaterThanOrEqual(before.stars);
      light.skyTop.forEach((part, index) => expect(Math.abs(part - (before.skyTop[index] ?? 0))).toBeLessThan(0.03));
      expect(Math.hypot(...light.sunDirection)).toBeCloseTo(1, 5);
      before = light;
    }
  });

  it("takes times outside the day as its ends", () => {
    expect(daylightAt(-3)).toEqual(daylightAt(0));
    expect(daylightAt(7)).toEqual(daylightAt(1));
  });
});
