import { BufferAttribute, BufferGeometry, Points } from "three";
import { seeded } from "../core/random";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec4 aDrop;
out vec4 vColor;
${LIGHT}
void main() {
  float age = fract(uTimeS * aDrop.z + aDrop.w);
  float flight = age * aDrop.y;
  vec3 at = position;
  vec2 way = vec2(sin(aDrop.x), cos(aDrop.x));
  float speed = position.y > 2.5 ? 0.85 : position.y > 1.2 ? 1.35 : 1.7;
  float lift = position.y > 2.5 ? 2.3 : position.y > 1.2 ? 1.2 : 4.6;
  float side = position.y > 1.0 ? 1.0 : -1.0;
  at.xz += way * speed * flight * side;
  at.y += lift * flight - 4.9 * flight * flight;
  vec4 seen = viewMatrix * vec4(at, 1.0);
  gl_Position = projectionMatrix * seen;
  gl_PointSize = clamp(0.105 * (0.7 + age) * uPixels / max(-seen.z, 0.5), 1.0, 26.0);
  vec3 light = ambientLight(vec3(0.0, 1.0, 0.0)) + uSunColor;
  vColor = vec4(mix(vec3(0.72, 0.92, 1.06), vec3(1.0, 0.93, 0.7), uGlow * fract(aDrop.w * 7.0)) * light, 0.95 * (1.0 - age * 0.4));
}
`;
const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in vec4 vColor;
void main() {
  float soft = max(0.0, 1.0 - length(gl_PointCoord - 0.5) * 2.0);
  outColor = vec4(vColor.rgb, vColor.a * min(1.0, soft * 2.0));
}
`;

/** The drops of the fountain: from the top, over the rims of both bowls, and jets from the basin inwards. */
export function fountainWater(materials: Materials, share: number): Points {
  const random = seeded(55);
  const positions: number[] = [];
  const drops: number[] = [];
  const add = (radius: number, y: number, seconds: number, angle: number): void => {
    positions.push(Math.sin(angle) * radius, y, Math.cos(angle) * radius);
    drops.push(angle, seconds, 1 / seconds, random());
  };
  for (let drop = 0; drop < 620 * share; drop += 1) {
    const angle = random() * Math.PI * 2;
    const kind = drop % 5;
    if (kind < 1) add(0.15, 2.8, 0.62, angle);
    else if (kind < 2) add(0.95, 2.75, 0.75, Math.round(angle * 2.5) / 2.5);
    else if (kind < 4) add(1.75, 1.9, 0.72, Math.round(angle * 3.2) / 3.2 + (random() - 0.5) * 0.06);
    else add(3.3, 0.5, 0.93, Math.round((angle / (Math.PI * 2)) * 10) * (Math.PI / 5));
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("aDrop", new BufferAttribute(new Float32Array(drops), 4));
  const points = new Points(geometry, materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthWrite: false,
  }));
  points.frustumCulled = false;
  points.renderOrder = 6;
  return points;
}
