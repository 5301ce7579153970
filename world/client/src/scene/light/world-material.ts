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
#ifdef WIND_BLOWS
${WIND}
#endif
void main() {
  #ifdef MOVES
  vec4 at = modelMatrix * vec4(position, 1.0);
  vec3 n = normalize(mat3(modelMatrix) * normal);
  #else
  vec4 at = vec4(position, 1.0);
  vec3 n = normal;
  #endif
  #ifdef WIND_BLOWS
  if (aExtra.x > 0.0) at.xyz = blown(at.xyz, aExtra.x * 0.01);
  #endif
  float glow = color.a * uGlow;
  vec3 own = color.rgb * (1.0 - 0.85 * glow);
  vec3 toPoint = at.xyz - cameraPosition;
  float distanceM = length(toPoint);
  float fog = fogAt(distanceM) * (1.0 - 0.5 * glow);
  float open = aExtra.z * 0.01;
  vec3 ambient = own * mix(ambientLight(n), uSkyLight + uSunColor, open) + color.rgb * 1.15 * glow;
  give(ambient, own * sunLight(n) * (1.0 - open), fogColorAt(toPoint, distanceM), fog, at.xyz + n * 0.08);
  gl_Position = projectionMatrix * (viewMatrix * at);
}
`;

/**
 * The material of everything that stands in the world: coloured corners, sun, sky, fog, wind and evening glow.
 *
 * @param moves whether meshes with it have a place of their own; what never moves is built where it stands.
 */
export function worldMaterial(materials: Materials, moves: boolean): RawShaderMaterial {
  return materials.make({
    vertexShader: moves ? `#define MOVES\n${VERTEX}` : VERTEX, fragmentShader: LIT_FRAGMENT, side: moves ? DoubleSide : FrontSide,
  });
}
