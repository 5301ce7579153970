import { describe, expect, it } from "vitest";
import { PLACES, placeOf } from "../core/places";
import { seeded } from "../core/random";
import { heightAt } from "./terrain";

describe("heightAt", () => {
  it("is level where things are built", () => {
    for (const id of ["plaza", "library", "market", "village", "cave"]) {
      const place = placeOf(id);
      const random = seeded(7);
      for (let count = 0; count < 200; count += 1) {
        const angle = random() * Math.PI * 2;
        const distance = random() * (place.radius_m - 2);
        const height = heightAt(place.x + Math.sin(angle) * distance, place.z + Math.cos(angle) * distance);
        expect(Math.abs(height)).toBeLessThan(0.6);
      }
    }
  });

  it("gives the hill the height of places.json", () => {
    const hill = placeOf("hill");
    expect(heightAt(hill.x, hill.z)).toBeCloseTo(hill.height_m ?? 0, 1);
    expect(Math.abs(heightAt(hill.x, hill.z + hill.radius_m))).toBeLessThan(0.4);
  });

  it("has no steps that an avatar could not climb", () => {
    const random = seeded(11);
    let steepest = 0;
    for (let count = 0; count < 5000; count += 1) {
      const x = (random() * 2 - 1) * PLACES.radius_m;
      const z = (random() * 2 - 1) * PLACES.radius_m;
      steepest = Math.max(steepest, Math.abs(heightAt(x + 0.1, z) - heightAt(x, z)));
    }
    expect(steepest).toBeLessThan(0.1);
  });

  it("keeps the shore above the water where players can stand", () => {
    const lake = PLACES.obstacles.find((found) => found.what === "lake");
    expect(lake && heightAt(lake.x, lake.z - lake.radius_m - 0.36)).toBeGreaterThan(-0.1);
  });
});
