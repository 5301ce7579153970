import type { Quality } from "../api";

/** What a quality preset means for the renderer and for the world. */
export interface Preset {
  /** The most drawn pixels per CSS pixel. */
  pixelRatio: number;
  antialias: boolean;
  shadows: boolean;
  /** Share of the trees, grass and flowers that are shown. */
  plants: number;
  particles: number;
  /** Side of the painted ground, in texels. */
  groundTexels: number;
  groundCellM: number;
  waterDetail: boolean;
  /** Share of the sides of round shapes; used when something is built. */
  fineness: number;
  /** How near small things must be to show. */
  detailM: number;
  /** Shapes that would be smaller in the picture are left out. */
  leastPx: number;
  /** Whether plants sway in the wind. */
  wind: boolean;
  /** The largest soft light about a lamp. */
  glowPx: number;
  /** How often names and bubbles follow their owners; each time costs the page a layout. */
  labelHz: number;
}

/**
 * The presets; `low` is made for computers without a graphics card. There three quarters of the pixels in each direction
 * are drawn, and the browser enlarges the picture: half of the work for a softer picture.
 */
export const PRESETS: Readonly<Record<Quality, Preset>> = {
  low: {
    pixelRatio: 0.75, antialias: false, shadows: false, plants: 0.45, particles: 0.4,
    groundTexels: 1024, groundCellM: 3.5, waterDetail: false, detailM: 14, fineness: 0.6,
    leastPx: 4, wind: false, glowPx: 48, labelHz: 20,
  },
  medium: {
    pixelRatio: 1.5, antialias: true, shadows: false, plants: 0.8, particles: 0.8,
    groundTexels: 3072, groundCellM: 2.5, waterDetail: true, detailM: 40, fineness: 1,
    leastPx: 1.5, wind: true, glowPx: 120, labelHz: 60,
  },
  high: {
    pixelRatio: 2, antialias: true, shadows: true, plants: 1, particles: 1,
    groundTexels: 3072, groundCellM: 2.5, waterDetail: true, detailM: 70, fineness: 1,
    leastPx: 0, wind: true, glowPx: 150, labelHz: 60,
  },
};
