import { BackSide, BufferAttribute, BufferGeometry, Group, Mesh, Points, SphereGeometry } from "three";
import { seeded } from "../core/random";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, VERTEX_HEAD } from "../light/shader-parts";

const RADIUS_M = 400;
/** Where the moon stands late in the evening: in the south, so that the lake mirrors it. */
export const MOON_DIRECTION = [0.1, 0.235, 0.97] as const;

const DOME_VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
out vec3 vDirection;
void main() {
  vDirection = position;
  vec4 at = projectionMatrix * viewMatrix * vec4(position + cameraPosition, 1.0);
  gl_Position = at.xyww;
}
`;

const DOME_FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform vec3 uSunDirection, uSunFlat, uFogColor, uFogSunColor, uSkyTop, uSkyMiddle;
uniform float uStars, uGlow;
in vec3 vDirection;
void main() {
  vec3 d = normalize(vDirection);
  float toSun = max(dot(d, uSunFlat), 0.0);
  vec3 horizon = mix(uFogColor, uFogSunColor, toSun * toSun * toSun);
  float up = max(d.y, 0.0);
  vec3 color = mix(horizon, uSkyMiddle, smoothstep(0.02, 0.3, up));
  color = mix(color, uSkyTop, smoothstep(0.2, 0.75, up));
  float sun = dot(d, uSunDirection);
  float day = 1.0 - uStars;
  color += uFogSunColor * day * (0.35 * pow(max(sun, 0.0), 24.0) + smoothstep(0.9965, 0.998, sun) * 0.8);
  vec3 moonAt = normalize(vec3(${MOON_DIRECTION.map((part) => part.toFixed(3)).join(", ")}));
  float moon = dot(d, moonAt);
  float disc = smoothstep(0.9978, 0.9984, moon);
  float bite = smoothstep(0.9972, 0.9981, dot(d, normalize(moonAt + vec3(0.022, 0.016, 0.0))));
  color += vec3(1.0, 0.96, 0.82) * uStars * (0.22 * pow(max(moon, 0.0), 60.0));
  color = mix(color, vec3(1.0, 0.97, 0.86) - vec3(0.13, 0.13, 0.08) * bite, disc * uStars);
  outColor = vec4(color, 1.0);
}
`;

const STAR_VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec2 aStar;
out float vLight;
void main() {
  vec4 at = projectionMatrix * viewMatrix * vec4(position + cameraPosition, 1.0);
  gl_Position = at.xyww;
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
  outColor = vec4(vec3(1.0, 0.97, 0.88), soft * vLight);
}
`;

/** The dome of the sky with sun, moon and, late, stars. */
export function sky(materials: Materials): Group {
  const group = new Group();
  const dome = new Mesh(
    new SphereGeometry(RADIUS_M, 20, 12),
    materials.make({
      vertexShader: DOME_VERTEX, fragmentShader: DOME_FRAGMENT, side: BackSide, depthWrite: false,
    }),
  );
  dome.renderOrder = 1;
  const stars = new Points(
    starGeometry(),
    materials.make({
      vertexShader: STAR_VERTEX, fragmentShader: STAR_FRAGMENT, transparent: true, depthWrite: false,
    }),
  );
  stars.name = "stars";
  for (const part of [dome, stars]) {
    part.frustumCulled = false;
    group.add(part);
  }
  return group;
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
    const y = isInBand ? 0 : random() * 1.1 - 0.05;
    const flat = Math.sqrt(Math.max(0, 1 - y * y));
    let direction = [Math.sin(angle) * flat, y, Math.cos(angle) * flat];
    if (isInBand) direction = [Math.cos(angle) * 0.55 + across, Math.abs(Math.sin(angle)), Math.cos(angle) * 0.85 - across];
    const length = Math.hypot(...direction);
    positions.push(...direction.map((part) => (part / length) * RADIUS_M * 0.95));
    stars.push(isInBand ? 1 + random() * 1.6 : 1.6 + random() ** 3 * 4, random());
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("aStar", new BufferAttribute(new Float32Array(stars), 2));
  return geometry;
}
