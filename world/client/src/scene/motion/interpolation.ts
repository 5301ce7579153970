import { mixAngles } from "../core/angles";
import { clamp, mix } from "../core/numbers";

/** How far behind the newest position others are shown, so that there are two positions to go between. */
export const DELAY_S = 0.133;
/** How long a movement is continued when nothing new comes. */
export const MOST_EXTRAPOLATED_S = 0.25;
/** Farther jumps are shown as such: someone took a portal. */
export const SNAP_M = 6;

/** The gateway sends changes only, so a gap means that the player stood still until one tick before. */
const TICK_S = 1 / 15;
const GAP_S = 0.3;
const MOST_KEPT = 12;

/** Where someone was at a time. */
export interface Sample {
  atS: number;
  x: number;
  z: number;
  heightM: number;
  angleRad: number;
  gait: number;
}

/** Smooths the positions of one other player. */
export class PositionBuffer {
  private samples: Sample[] = [];

  /** Note a position from the gateway. */
  push(sample: Sample): void {
    const last = this.samples.at(-1);
    if (last && Math.hypot(sample.x - last.x, sample.z - last.z) > SNAP_M) this.samples = [];
    else if (last && sample.atS <= last.atS) this.samples.pop();
    else if (last && sample.atS - last.atS > GAP_S) this.samples.push({ ...last, atS: sample.atS - TICK_S });
    this.samples.push(sample);
    if (this.samples.length > MOST_KEPT) this.samples.shift();
  }

  /** Where the player is to be shown now, or null before the first position. */
  at(nowS: number): Sample | null {
    const shownS = nowS - DELAY_S;
    const next = this.samples.findIndex((sample) => sample.atS > shownS);
    if (next === 0) return this.samples[0] ?? null;
    if (next < 0) return this.beyond(shownS);
    return between(this.samples[next - 1], this.samples[next], shownS);
  }

  private beyond(shownS: number): Sample | null {
    const last = this.samples.at(-1);
    const before = this.samples.at(-2);
    if (!last || !before || last.gait === 0) return last ?? null;
    const seconds = clamp(shownS - last.atS, 0, MOST_EXTRAPOLATED_S);
    const spanS = Math.max(last.atS - before.atS, TICK_S / 2);
    return {
      ...last,
      x: last.x + ((last.x - before.x) / spanS) * seconds,
      z: last.z + ((last.z - before.z) / spanS) * seconds,
      gait: shownS - last.atS > MOST_EXTRAPOLATED_S ? 0 : last.gait,
    };
  }
}

function between(from: Sample | undefined, to: Sample | undefined, atS: number): Sample | null {
  if (!from || !to) return to ?? from ?? null;
  const share = clamp((atS - from.atS) / (to.atS - from.atS), 0, 1);
  return {
    atS,
    x: mix(from.x, to.x, share),
    z: mix(from.z, to.z, share),
    heightM: mix(from.heightM, to.heightM, share),
    angleRad: mixAngles(from.angleRad, to.angleRad, share),
    gait: to.gait,
  };
}
