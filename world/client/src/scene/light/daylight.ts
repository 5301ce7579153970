import { mix, clamp } from "../core/numbers";
import { channels } from "../build/mesh-builder";

/** The light of the world at one time of the day. Colours are red, green, blue from 0 to 1, as seen on the screen. */
export interface Daylight {
  /** Direction to the sun or, late, to the moon. */
  sunDirection: Triple;
  sunColor: Triple;
  skyLight: Triple;
  groundLight: Triple;
  fogColor: Triple;
  /** The fog's colour in front of the sun. */
  fogSunColor: Triple;
  skyTop: Triple;
  skyMiddle: Triple;
  cloudColor: Triple;
  cloudShade: Triple;
  waterTop: Triple;
  waterDeep: Triple;
  /** How brightly lanterns and windows shine, 0 to 1. */
  glow: number;
  /** How clearly the stars and the moon show, 0 to 1. */
  stars: number;
}

/** Three numbers: a colour or a direction. */
export type Triple = readonly [number, number, number];

interface Key extends Daylight {
  at: number;
}

/** Times between which the light is mixed; the sun sets in the west, behind the library. */
const KEYS: readonly Key[] = [
  {
    at: 0, sunDirection: [-0.35, 0.82, 0.45], sunColor: [0.42, 0.37, 0.27], skyLight: [0.53, 0.57, 0.64],
    groundLight: [0.42, 0.41, 0.4], fogColor: channels(0xd5ecf3), fogSunColor: channels(0xf3f3e4),
    skyTop: channels(0x5fb0ea), skyMiddle: channels(0xa9dbf4), cloudColor: channels(0xffffff),
    cloudShade: channels(0xd3e4f3), waterTop: channels(0x8fdcec), waterDeep: channels(0x3a9ccb), glow: 0, stars: 0,
  },
  {
    at: 0.4, sunDirection: [-0.72, 0.52, 0.42], sunColor: [0.54, 0.42, 0.25], skyLight: [0.56, 0.55, 0.6],
    groundLight: [0.44, 0.38, 0.36], fogColor: channels(0xf3e3cd), fogSunColor: channels(0xffe3ae),
    skyTop: channels(0x6aa5de), skyMiddle: channels(0xc4d9e6), cloudColor: channels(0xfff3dd),
    cloudShade: channels(0xdcc8cc), waterTop: channels(0xb5d8dc), waterDeep: channels(0x4a92b8), glow: 0.15, stars: 0,
  },
  {
    at: 0.68, sunDirection: [-0.9, 0.3, 0.3], sunColor: [0.6, 0.34, 0.2], skyLight: [0.52, 0.46, 0.6],
    groundLight: [0.42, 0.32, 0.4], fogColor: channels(0xe3a6a6), fogSunColor: channels(0xffb877),
    skyTop: channels(0x474f9e), skyMiddle: channels(0xb882b8), cloudColor: channels(0xffc9a4),
    cloudShade: channels(0xa878ae), waterTop: channels(0xe0a8b4), waterDeep: channels(0x4b5590), glow: 0.75, stars: 0.3,
  },
  {
    at: 1, sunDirection: [0.12, 0.62, 0.76], sunColor: [0.2, 0.24, 0.38], skyLight: [0.36, 0.39, 0.62],
    groundLight: [0.27, 0.25, 0.42], fogColor: channels(0x545a94), fogSunColor: channels(0x9486b4),
    skyTop: channels(0x161c47), skyMiddle: channels(0x343a78), cloudColor: channels(0x7076b0),
    cloudShade: channels(0x454b86), waterTop: channels(0x5a68ac), waterDeep: channels(0x1e2858), glow: 1, stars: 1,
  },
];

/** The light at a time; 0 is noon, 1 is late evening. */
export function daylightAt(evening: number): Daylight {
  const at = clamp(evening, 0, 1);
  const next = KEYS.findIndex((key) => key.at >= at);
  const to = KEYS[Math.max(next, 0)];
  const from = KEYS[Math.max(next - 1, 0)];
  if (!from || !to || from === to) return to ?? (KEYS[0] as Key);
  return mixed(from, to, (at - from.at) / (to.at - from.at));
}

function mixed(from: Key, to: Key, share: number): Daylight {
  const blend = (a: Triple, b: Triple): Triple => [mix(a[0], b[0], share), mix(a[1], b[1], share), mix(a[2], b[2], share)];
  return {
    sunDirection: unit(blend(from.sunDirection, to.sunDirection)),
    sunColor: blend(from.sunColor, to.sunColor),
    skyLight: blend(from.skyLight, to.skyLight),
    groundLight: blend(from.groundLight, to.groundLight),
    fogColor: blend(from.fogColor, to.fogColor),
    fogSunColor: blend(from.fogSunColor, to.fogSunColor),
    skyTop: blend(from.skyTop, to.skyTop),
    skyMiddle: blend(from.skyMiddle, to.skyMiddle),
    cloudColor: blend(from.cloudColor, to.cloudColor),
    cloudShade: blend(from.cloudShade, to.cloudShade),
    waterTop: blend(from.waterTop, to.waterTop),
    waterDeep: blend(from.waterDeep, to.waterDeep),
    glow: mix(from.glow, to.glow, share),
    stars: mix(from.stars, to.stars, share),
  };
}

function unit(direction: Triple): Triple {
  const length = Math.hypot(...direction);
  return [direction[0] / length, direction[1] / length, direction[2] / length];
}
