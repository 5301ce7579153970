import { AdditiveBlending, BufferAttribute, BufferGeometry, Points } from "three";
import { channels } from "../build/mesh-builder";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, VERTEX_HEAD } from "../light/shader-parts";

/** A soft light about a lamp, lantern or crystal. */
export interface Glow {
  x: number;
  y: number;
  z: number;
  color: number;
  sizeM: number;
  /** How far it wanders about, for fireflies. */
  wanderM?: number;
  /** Speed at which it rises and comes back, for sky lanterns. */
  riseM?: number;
}

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 color;
in vec4 aGlow;
out vec3 vColor;
void main() {
  float own = aGlow.y;
  vec3 at = position;
  at += vec3(sin(uTimeS * 0.4 + own * 30.0), 0.6 * sin(uTimeS * 0.7 + own * 50.0), cos(uTimeS * 0.33 + own * 41.0)) * aGlow.z;
  float rising = mod(uTimeS * 0.35 + own * 60.0, 60.0);
  at.y += aGlow.w * rising;
  float fade = aGlow.w > 0.0 ? smoothstep(0.0, 8.0, rising) * smoothstep(60.0, 45.0, rising) : 1.0;
  vec4 seen = viewMatrix * vec4(at, 1.0);
  gl_Position = projectionMatrix * seen;
  gl_PointSize = min(aGlow.x * uPixels / max(-seen.z, 0.5), uGlowPx);
  float flicker = 0.88 + 0.12 * sin(uTimeS * (2.0 + own * 3.0) + own * 70.0);
  float blink = aGlow.z > 0.0 && aGlow.w == 0.0 ? smoothstep(-0.2, 0.8, sin(uTimeS * 0.9 + own * 90.0)) : 1.0;
  float near = smoothstep(0.5, 3.0, -seen.z);
  vColor = color * uGlow * flicker * blink * fade * near;
}
`;

const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in vec3 vColor;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0;
  float soft = max(0.0, 1.0 - far);
  outColor = vec4(vColor * (soft * soft * (0.55 + 0.6 * soft * soft * soft * soft)), 1.0);
}
`;

/** All soft lights as one draw. They show in the evening only. */
export function glowPoints(materials: Materials, glows: readonly Glow[]): Points {
  const geometry = new BufferGeometry();
  const flat = <T>(list: readonly T[][]): T[] => list.flat();
  const positions = flat(glows.map(({ x, y, z }) => [x, y, z]));
  const colors = flat(glows.map(({ color }) => channels(color)));
  const details = flat(glows.map((glow, index) => [
    glow.sizeM, (index * 0.618) % 1, glow.wanderM ?? 0, glow.riseM ?? 0,
  ]));
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(colors), 3));
  geometry.setAttribute("aGlow", new BufferAttribute(new Float32Array(details), 4));
  const points = new Points(geometry, materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthWrite: false, blending: AdditiveBlending,
  }));
  points.frustumCulled = false;
  points.renderOrder = 5;
  return points;
}
