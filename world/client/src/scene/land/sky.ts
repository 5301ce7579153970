import { AdditiveBlending, BufferAttribute, BufferGeometry, Group, Mesh, NormalBlending, Points } from "three";
import { seeded } from "../core/random";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, VERTEX_HEAD } from "../light/shader-parts";

const RADIUS_M = 400;
/** Where the moon stands late in the evening: low in the south, so that the lake mirrors it. */
export const MOON_DIRECTION = [0.1, 0.235, 0.97] as const;
const MOON = `normalize(vec3(${MOON_DIRECTION.map((part) => part.toFixed(3)).join(", ")}))`;

/** Colours change mostly near the horizon, so the dome has more rings there; pixels only copy them. */
const RING_HEIGHTS = [-0.25, -0.02, 0.03, 0.08, 0.14, 0.21, 0.29, 0.38, 0.5, 0.64, 0.79, 0.92, 1] as const;
const SIDES = 28;

const DOME_VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
out vec3 vColor;
void main() {
  vec3 d = normalize(position);
  float toSun = max(dot(d, uSunFlat), 0.0);
  vec3 horizon = mix(uFogColor, uFogSunColor, toSun * toSun * toSun);
  float up = max(d.y, 0.0);
  vec3 color = mix(horizon, uSkyMiddle, smoothstep(0.02, 0.3, up));
  color = mix(color, uSkyTop, smoothstep(0.2, 0.75, up));
  color += uFogSunColor * (1.0 - uStars) * 0.3 * pow(max(dot(d, uSunDirection), 0.0), 14.0);
  color += vec3(1.0, 0.94, 0.78) * uStars * 0.2 * pow(max(dot(d, ${MOON}), 0.0), 26.0);
  vColor = color;
  gl_Position = (projectionMatrix * (viewMatrix * vec4(position + cameraPosition, 1.0))).xyww;
}
`;
const DOME_FRAGMENT = `${FRAGMENT_HEAD}\nin vec3 vColor;\nvoid main() { outColor = vec4(vColor, 1.0); }`;

const DISC_VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
out vec2 vAt;
out vec4 vColor;
out float vMoon;
void main() {
  bool isMoon = position.z > 0.5;
  vec3 d = isMoon ? ${MOON} : uSunDirection;
  vec3 side = normalize(cross(vec3(0.0, 1.0, 0.0), d));
  vec3 above = cross(d, side);
  float size = isMoon ? 26.0 : 30.0;
  vec3 at = cameraPosition + d * 380.0 + (side * position.x + above * position.y) * size;
  vAt = position.xy;
  vMoon = isMoon ? 1.0 : 0.0;
  vColor = isMoon ? vec4(1.0, 0.96, 0.84, min(1.0, uStars * 1.4)) : vec4(mix(uFogSunColor, vec3(1.0), 0.55), 1.0 - smoothstep(0.45, 0.9, uStars));
  gl_Position = (projectionMatrix * (viewMatrix * vec4(at, 1.0))).xyww;
}
`;
const DISC_FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in vec2 vAt;
in vec4 vColor;
in float vMoon;
void main() {
  float far = length(vAt);
  float disc = smoothstep(0.86, 0.8, far);
  float marks = smoothstep(0.3, 0.24, length(vAt - vec2(0.25, 0.2))) + smoothstep(0.2, 0.15, length(vAt + vec2(0.3, 0.12)))
    + smoothstep(0.14, 0.1, length(vAt - vec2(-0.05, -0.45)));
  outColor = vec4(vColor.rgb - vec3(0.09, 0.09, 0.06) * marks * vMoon, disc * vColor.a);
}
`;

const STAR_VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec2 aStar;
out float vLight;
void main() {
  gl_Position = (projectionMatrix * (viewMatrix * vec4(position + cameraPosition, 1.0))).xyww;
  gl_PointSize = aStar.x * uPixels / 420.0;
  vLight = uStars * (0.75 + 0.25 * sin(uTimeS * (0.6 + aStar.y * 1.6) + aStar.y * 40.0));
}
`;
const STAR_FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in float vLight;
void main() {
  vec2 p = abs(gl_PointCoord - 0.5) * 2.0;
  float soft = max(0.0, 1.0 - length(p)) + 0.5 * max(0.0, 1.0 - (p.x + p.y + 12.0 * p.x * p.y));
  outColor = vec4(vec3(1.0, 0.97, 0.88) * soft * vLight, 1.0);
}
`;

/** The dome of the sky with sun, moon and, late, stars. */
export function sky(materials: Materials): Group {
  const dome = new Mesh(domeGeometry(), materials.make({
    vertexShader: DOME_VERTEX, fragmentShader: DOME_FRAGMENT, depthWrite: false,
  }));
  dome.renderOrder = 1;
  const stars = new Points(starGeometry(), materials.make({
    vertexShader: STAR_VERTEX, fragmentShader: STAR_FRAGMENT, transparent: true, depthWrite: false, blending: AdditiveBlending,
  }));
  const discs = new Mesh(discGeometry(), materials.make({
    vertexShader: DISC_VERTEX, fragmentShader: DISC_FRAGMENT, transparent: true, depthWrite: false, blending: NormalBlending,
  }));
  stars.renderOrder = discs.renderOrder = -1;
  const group = new Group();
  for (const part of [dome, stars, discs]) {
    part.frustumCulled = false;
    group.add(part);
  }
  return group;
}

function domeGeometry(): BufferGeometry {
  const positions: number[] = [];
  const indexes: number[] = [];
  RING_HEIGHTS.forEach((height, ring) => {
    const flat = Math.sqrt(1 - height * height);
    for (let side = 0; side < SIDES; side += 1) {
      const angle = (side / SIDES) * Math.PI * 2;
      positions.push(Math.sin(angle) * flat * RADIUS_M, height * RADIUS_M, Math.cos(angle) * flat * RADIUS_M);
      if (ring === 0) continue;
      const [here, there] = [ring * SIDES + side, ring * SIDES + ((side + 1) % SIDES)];
      indexes.push(here - SIDES, here, there, here - SIDES, there, there - SIDES);
    }
  });
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setIndex(indexes);
  return geometry;
}

/** Two squares: z says which is the sun's and which the moon's. */
function discGeometry(): BufferGeometry {
  const corners = [0, 1].flatMap((z) => [-1, -1, z, 1, -1, z, 1, 1, z, -1, 1, z]);
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(corners), 3));
  geometry.setIndex([0, 2, 1, 0, 3, 2, 4, 6, 5, 4, 7, 6]);
  return geometry;
}

/** Whether the moon hides a star. */
function isBehindMoon(direction: readonly number[], length: number): boolean {
  const along = MOON_DIRECTION.reduce((sum, part, axis) => sum + part * (direction[axis] ?? 0), 0);
  return along / length / Math.hypot(...MOON_DIRECTION) > 0.997;
}

/** Stars all over, and denser along a band: the galaxy that gives the plaza its name. */
function starGeometry(): BufferGeometry {
  const random = seeded(77);
  const positions: number[] = [];
  const stars: number[] = [];
  for (let count = 0; count < 900; count += 1) {
    const isInBand = count > 380;
    const angle = random() * Math.PI * 2;
    const across = (random() + random() + random() - 1.5) * 0.22;
    const y = random() * 1.1 - 0.05;
    const flat = Math.sqrt(Math.max(0, 1 - y * y));
    const direction = isInBand
      ? [Math.cos(angle) * 0.55 + across, Math.abs(Math.sin(angle)), Math.cos(angle) * 0.85 - across]
      : [Math.sin(angle) * flat, y, Math.cos(angle) * flat];
    const length = Math.hypot(...direction);
    if (isBehindMoon(direction, length)) continue;
    positions.push(...direction.map((part) => (part / length) * RADIUS_M * 0.95));
    stars.push(isInBand ? 1 + random() * 1.6 : 1.6 + random() ** 3 * 4, random());
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("aStar", new BufferAttribute(new Float32Array(stars), 2));
  return geometry;
}
