import { describe, expect, it } from "vitest";
import { pathDistance } from "../ground/paths";
import { PLACES } from "../core/places";
import { hill } from "./hill";
import { plaza } from "./plaza";
import { ARCH, village } from "./village";

describe("what stands in the places", () => {
  it("has paper with one face in one place: both of its sides are drawn, and two would flicker", () => {
    for (const { builder } of hill(0.6).movers) {
      const geometry = builder.geometry();
      const [positions, normals] = [geometry.getAttribute("position"), geometry.getAttribute("normal")];
      const lit = geometry.getAttribute("aExtra");
      const corners = Array.from({ length: positions.count }, (_, at) => at).filter((at) => lit.getZ(at) > 0);
      const facing = (at: number, sign: number): string =>
        [positions.getX(at), positions.getY(at), positions.getZ(at), ...[normals.getX(at), normals.getY(at), normals.getZ(at)].map((part) => part * sign)]
          .map((part) => (part + 0).toFixed(3).replace("-0.000", "0.000")).join();
      const seen = new Set(corners.map((at) => facing(at, 1)));
      expect(corners.filter((at) => seen.has(facing(at, -1)))).toEqual([]);
    }
  });

  it("lets the way into the village lead through its arch, and sets the arch's feet beside it", () => {
    const foot = (side: number): { x: number; z: number } => ({
      x: ARCH.x + Math.cos(ARCH.turn) * ARCH.halfM * side, z: ARCH.z - Math.sin(ARCH.turn) * ARCH.halfM * side,
    });
    expect(pathDistance(ARCH)).toBeLessThan(-1);
    for (const side of [-1, 1]) expect(pathDistance(foot(side))).toBeGreaterThan(0.2);
  });

  it("leaves those free who arrive at the plaza or in the village", () => {
    for (const [id, site] of [["plaza", plaza(0.6, "ko")], ["village", village(0.6)]] as const) {
      for (const { arrive_x: x, arrive_z: z } of PLACES.portals.filter(({ to }) => to === id)) {
        for (const circle of site.circles) expect(Math.hypot(circle.x - x, circle.z - z)).toBeGreaterThan(circle.radius_m + 0.4);
      }
    }
  });
});
