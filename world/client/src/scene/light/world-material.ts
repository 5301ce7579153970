import { DoubleSide, FrontSide, type RawShaderMaterial } from "three";
import type { Materials } from "./materials";
import { LIT_FRAGMENT, LIT_OUT } from "./lit";
import { LIGHT, VERTEX_HEAD, WIND } from "./shader-parts";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 normal;
in vec4 color;
in vec4 aExtra;
${LIT_OUT}
${LIGHT}
${WIND}
void main() {
  vec4 at = modelMatrix * vec4(position, 1.0);
  if (aExtra.x > 0.0) at.xyz = blown(at.xyz, aExtra.x * 0.01);
  vec3 n = normalize(mat3(modelMatrix) * normal);
  float glow = color.a * uGlow;
  vec3 own = color.rgb * (1.0 - 0.85 * glow);
  vec3 toPoint = at.xyz - cameraPosition;
  float fog = fogAt(length(toPoint)) * (1.0 - 0.5 * glow);
  give(own * ambientLight(n) + color.rgb * 1.15 * glow, own * sunLight(n), fogColorAt(toPoint), fog, at.xyz + n * 0.08);
  gl_Position = projectionMatrix * (viewMatrix * at);
}
`;

/** The material of everything that stands in the world: coloured corners, sun, sky, fog, wind and evening glow. */
export function worldMaterial(materials: Materials, isTwoSided = false): RawShaderMaterial {
  return materials.make({
    vertexShader: VERTEX, fragmentShader: LIT_FRAGMENT, side: isTwoSided ? DoubleSide : FrontSide,
  });
}
