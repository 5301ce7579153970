import { describe, expect, it } from "vitest";
import { MeshBuilder } from "./mesh-builder";
import { drawCount, limitTo, type Sizes } from "./sizes";

describe("shapes by size", () => {
  const builder = new MeshBuilder(1);
  builder.box(0, 0, 0, 0.1, 0.1, 0.1).tube(5, 0, 0, 0.2, 0.2, 3).ball(0, 0, 9, 0.5);
  const geometry = builder.geometry();
  const sizes = geometry.userData.sizes as Sizes;

  it("are sorted from large to small, and none is lost", () => {
    expect(sizes.metres.map((size) => Math.round(size * 10) / 10)).toEqual([3, 1, 0.1]);
    expect(sizes.ends.at(-1)).toBe(geometry.getIndex()?.count);
  });

  it("are drawn from a size on", () => {
    expect(drawCount(sizes, 0)).toBe(geometry.getIndex()?.count);
    expect(drawCount(sizes, 2)).toBe(sizes.ends[0]);
    expect(drawCount(sizes, 1000)).toBe(0);
    limitTo(geometry, 0.5);
    expect(geometry.drawRange.count).toBe(sizes.ends[1]);
  });

  it("are whole: the corners of the largest belong to it", () => {
    const positions = geometry.getAttribute("position");
    for (let index = 0; index < (sizes.ends[0] ?? 0); index += 1) {
      expect(positions.getX(geometry.getIndex()?.getX(index) ?? 0)).toBeGreaterThan(4);
    }
  });
});
