import { describe, expect, it } from "vitest";
import { Askers, MOST_THINKING_S } from "./askers";

describe("Askers", () => {
  it("wait until the last one has an answer", () => {
    const askers = new Askers();
    askers.asked(3, 0);
    askers.asked(5, 1);
    expect(askers.newest).toBe(5);
    askers.answered(5);
    expect(askers.any).toBe(true);
    expect(askers.newest).toBe(3);
    askers.answered(3);
    expect(askers.any).toBe(false);
    expect(askers.newest).toBeNull();
  });

  it("wait for a limited time each, which begins anew when they ask again", () => {
    const askers = new Askers();
    askers.asked(3, 0);
    askers.asked(5, 10);
    askers.expire(MOST_THINKING_S);
    expect(askers.newest).toBe(5);
    askers.asked(5, 20);
    askers.expire(10 + MOST_THINKING_S);
    expect(askers.any).toBe(true);
    askers.expire(20 + MOST_THINKING_S);
    expect(askers.any).toBe(false);
  });

  it("are told apart: an answer to somebody else ends nothing", () => {
    const askers = new Askers();
    askers.asked(3, 0);
    askers.answered(4);
    expect(askers.any).toBe(true);
  });
});
