import { DoubleSide, FrontSide, type RawShaderMaterial } from "three";
import type { Materials } from "./materials";
import { SHADOW_MARK } from "./materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD, WIND } from "./shader-parts";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 normal;
in vec4 color;
in vec4 aExtra;
out vec3 vAmbient;
out vec3 vSun;
out vec4 vFog;
out vec3 vAt;
${LIGHT}
${WIND}
void main() {
  vec4 at = modelMatrix * vec4(position, 1.0);
  if (aExtra.x > 0.0) at.xyz = blown(at.xyz, aExtra.x * 0.01);
  vec3 n = normalize(mat3(modelMatrix) * normal);
  float glow = color.a * uGlow;
  vAmbient = color.rgb * (ambientLight(n) * (1.0 - 0.85 * glow) + 1.15 * glow);
  vSun = color.rgb * sunLight(n) * (1.0 - 0.85 * glow);
  vec3 toPoint = at.xyz - cameraPosition;
  vFog = vec4(fogColorAt(toPoint), fogAt(length(toPoint)) * (1.0 - 0.5 * glow));
  vAt = at.xyz + n * 0.08;
  gl_Position = projectionMatrix * viewMatrix * at;
}
`;

const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in vec3 vAmbient;
in vec3 vSun;
in vec4 vFog;
in vec3 vAt;
${SHADOW_MARK}
void main() {
  #ifdef SHADOWS
  vec3 color = vAmbient + vSun * sunShare(vAt);
  #else
  vec3 color = vAmbient + vSun;
  #endif
  outColor = vec4(mix(color, vFog.rgb, vFog.a), 1.0);
}
`;

/** The material of everything that stands in the world: coloured corners, sun, sky, fog, wind and evening glow. */
export function worldMaterial(materials: Materials, isTwoSided = false): RawShaderMaterial {
  return materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, side: isTwoSided ? DoubleSide : FrontSide,
  });
}
