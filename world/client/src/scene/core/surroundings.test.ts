import { describe, expect, it, vi } from "vitest";
import type { SceneEvents } from "../api";
import { PLACES, placeAt } from "./places";
import { Surroundings } from "./surroundings";

function events(): SceneEvents {
  return {
    moved: vi.fn(), botChosen: vi.fn(), playerChosen: vi.fn(), botNear: vi.fn(), portalNear: vi.fn(),
    webPortalNear: vi.fn(), placeEntered: vi.fn(),
  };
}

describe("Surroundings", () => {
  it("tells of each change once", () => {
    const told = events();
    const around = new Surroundings(told);
    const [bot] = PLACES.bots;
    if (!bot) throw new Error("no bots");
    for (let frame = 0; frame < 3; frame += 1) around.update({ x: bot.x + 1, z: bot.z + 1 });
    expect(told.botNear).toHaveBeenCalledTimes(1);
    expect(told.botNear).toHaveBeenCalledWith(bot.bot);
    around.update({ x: 90, z: 0 });
    expect(told.botNear).toHaveBeenLastCalledWith(null);
    expect(told.placeEntered).toHaveBeenLastCalledWith(null);
  });

  it("knows every portal when standing in it", () => {
    PLACES.portals.forEach((portal, index) => {
      const told = events();
      new Surroundings(told).update(portal);
      expect(told.portalNear).toHaveBeenCalledWith(index);
    });
  });
});

describe("placeAt", () => {
  it("knows the middle of every place", () => {
    for (const place of PLACES.places) expect(placeAt(place.x, place.z)).toBe(place.id);
  });
});
