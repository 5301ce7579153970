import { BufferAttribute, BufferGeometry, Mesh, type RawShaderMaterial } from "three";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { MOON_DIRECTION } from "./sky";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in float aShore;
out vec3 vAt;
out float vShore;
out vec4 vFog;
${LIGHT}
void main() {
  vec4 at = modelMatrix * vec4(position, 1.0);
  vec3 toPoint = at.xyz - cameraPosition;
  vFog = vec4(fogColorAt(toPoint, length(toPoint)), fogAt(length(toPoint)) * 0.8);
  vAt = at.xyz;
  vShore = aShore;
  gl_Position = projectionMatrix * (viewMatrix * at);
}
`;

const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform vec3 cameraPosition;
uniform float uTimeS, uStars, uGlow, uFine;
uniform vec3 uSunDirection, uFogColor, uFogSunColor, uSkyTop, uSkyMiddle, uWaterTop, uWaterDeep;
in vec3 vAt;
in float vShore;
in vec4 vFog;
vec2 ripples(vec2 p) {
  vec2 w = vec2(sin(p.y * 1.3 + uTimeS * 0.9 + sin(p.x * 0.7)), cos(p.x * 1.1 - uTimeS * 0.8 + sin(p.y * 0.9)));
  if (uFine > 0.5) w += 0.6 * vec2(sin(p.y * 3.7 - uTimeS * 1.6 + p.x), cos(p.x * 4.1 + uTimeS * 1.3 - p.y));
  return w;
}
void main() {
  vec2 slope = ripples(vAt.xz) * 0.035;
  vec3 n = normalize(vec3(slope.x, 1.0, slope.y));
  vec3 toEye = normalize(cameraPosition - vAt);
  vec3 mirrored = reflect(-toEye, n);
  float up = max(mirrored.y, 0.0);
  vec3 sky = mix(mix(uFogColor, uSkyMiddle, smoothstep(0.0, 0.3, up)), uSkyTop, smoothstep(0.2, 0.8, up));
  float grazing = pow(1.0 - max(toEye.y, 0.0), 2.0);
  vec3 color = mix(mix(uWaterTop, uWaterDeep, smoothstep(0.0, 0.75, 1.0 - vShore)), sky, 0.25 + 0.55 * grazing);
  vec3 moonAt = normalize(vec3(${MOON_DIRECTION.map((part) => part.toFixed(3)).join(", ")}));
  float moon = max(dot(normalize(mirrored.xz), normalize(moonAt.xz)), 0.0);
  float sun = max(dot(mirrored, uSunDirection), 0.0);
  float farM = length(cameraPosition - vAt);
  float bands = sin(vAt.z * 5.2 - uTimeS * 0.8 + slope.x * 30.0) + 0.7 * sin(vAt.x * 2.6 + slope.y * 60.0 + uTimeS * 0.5);
  float spark = mix(smoothstep(0.1, 1.2, bands), 0.4, smoothstep(8.0, 40.0, farM));
  color += vec3(1.0, 0.95, 0.8) * uStars * (pow(moon, 600.0) * (0.14 + 0.8 * spark) + pow(moon, 60.0) * (0.06 + 0.7 * spark));
  color += uFogSunColor * (1.0 - uStars) * (pow(sun, 120.0) * 0.7 + pow(sun, 12.0) * 0.14 * spark);
  float foam = smoothstep(0.90, 0.97, vShore + 0.025 * sin(uTimeS * 0.9 + vAt.x * 0.9 + vAt.z * 0.7));
  color = mix(color, color * 0.45 + uWaterTop * 0.65, foam * 0.7);
  outColor = vec4(mix(color, vFog.rgb, vFog.a), 1.0);
}
`;

/** The material of all still water; `isFine` adds small ripples. */
export function waterMaterial(materials: Materials, isFine: boolean): RawShaderMaterial {
  return materials.make({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms: { uFine: { value: isFine ? 1 : 0 } } });
}

/** A round sheet of water. */
export function waterDisc(material: RawShaderMaterial, x: number, y: number, z: number, radiusM: number): Mesh {
  const sides = 40;
  const positions: number[] = [x, y, z];
  const shores: number[] = [0];
  const indexes: number[] = [];
  const shares = [0.5, 0.85, 1];
  shares.forEach((share, ring) => {
    for (let side = 0; side < sides; side += 1) {
      const angle = (side / sides) * Math.PI * 2;
      positions.push(x + Math.sin(angle) * radiusM * share, y, z + Math.cos(angle) * radiusM * share);
      shores.push(share);
      const next = (side + 1) % sides;
      const [here, there] = [1 + ring * sides + side, 1 + ring * sides + next];
      if (ring === 0) indexes.push(0, here, there);
      else indexes.push(here - sides, here, there, here - sides, there, there - sides);
    }
  });
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("aShore", new BufferAttribute(new Float32Array(shores), 1));
  geometry.setIndex(indexes);
  return new Mesh(geometry, material);
}
