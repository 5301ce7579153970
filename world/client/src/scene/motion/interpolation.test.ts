import { describe, expect, it } from "vitest";
import { seeded } from "../core/random";
import { DELAY_S, PositionBuffer, type Sample } from "./interpolation";

const TICK_S = 1 / 15;

function sample(atS: number, x: number, z: number, gait = 2): Sample {
  return { atS, x, z, heightM: 0, angleRad: 0, gait };
}

describe("PositionBuffer", () => {
  it("shows a runner on a curve within 0.3 m of where they were", () => {
    const random = seeded(1);
    let worstM = 0;
    for (let run = 0; run < 50; run += 1) {
      const radiusM = 4 + random() * 20;
      const path = (atS: number): { x: number; z: number } => ({
        x: Math.sin((atS * 6) / radiusM) * radiusM,
        z: Math.cos((atS * 6) / radiusM) * radiusM,
      });
      const buffer = new PositionBuffer();
      let sentS = 0;
      for (let nowS = 0; nowS < 4; nowS += 1 / 60) {
        while (sentS <= nowS) {
          buffer.push(sample(sentS, path(sentS).x, path(sentS).z));
          sentS += TICK_S;
        }
        if (nowS < 0.4) continue;
        const shown = buffer.at(nowS);
        const truth = path(nowS - DELAY_S);
        worstM = Math.max(worstM, shown ? Math.hypot(shown.x - truth.x, shown.z - truth.z) : Infinity);
      }
    }
    expect(worstM).toBeLessThan(0.3);
  });

  it("continues a movement for 250 ms at most, then stops", () => {
    const buffer = new PositionBuffer();
    for (let tick = 0; tick < 6; tick += 1) buffer.push(sample(tick * TICK_S, tick * 0.4, 0));
    const late = buffer.at(5 * TICK_S + DELAY_S + 2);
    expect(late?.x).toBeCloseTo(2 + 6 * 0.25, 3);
    expect(late?.gait).toBe(0);
  });

  it("does not move who stands", () => {
    const buffer = new PositionBuffer();
    buffer.push(sample(0, 0, 0));
    buffer.push(sample(TICK_S, 0.4, 0, 0));
    expect(buffer.at(3)?.x).toBe(0.4);
  });

  it("starts from where the player stood, after a pause without positions", () => {
    const buffer = new PositionBuffer();
    buffer.push(sample(0, 1, 1, 0));
    buffer.push(sample(5, 1.4, 1));
    expect(buffer.at(5)?.x).toBeCloseTo(1, 5);
  });

  it("snaps when the way is longer than 6 m", () => {
    const buffer = new PositionBuffer();
    buffer.push(sample(0, 0, 0));
    buffer.push(sample(TICK_S, 40, 0));
    expect(buffer.at(TICK_S)?.x).toBe(40);
  });

  it("turns the short way", () => {
    const buffer = new PositionBuffer();
    buffer.push({ ...sample(0, 0, 0), angleRad: 6.2 });
    buffer.push({ ...sample(0.1, 0.1, 0), angleRad: 0.1 });
    const angle = buffer.at(0.05 + DELAY_S)?.angleRad ?? 0;
    expect(Math.abs(angle - 6.29)).toBeLessThan(0.1);
  });
});
