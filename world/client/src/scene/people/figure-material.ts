import type { Matrix4, RawShaderMaterial } from "three";
import type { Materials } from "../light/materials";
import { LIT_FRAGMENT, LIT_OUT } from "../light/lit";
import { LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { LIMB_COUNT } from "./pose";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
uniform mat4 uLimbs[${LIMB_COUNT}];
uniform float uDim, uBright;
in vec3 position;
in vec3 normal;
in vec4 color;
in vec4 aExtra;
${LIT_OUT}
${LIGHT}
void main() {
  mat4 limb = uLimbs[int(aExtra.y + 0.5)];
  vec4 at = limb * vec4(position, 1.0);
  vec3 n = normalize(mat3(limb) * normal);
  vec3 toPoint = at.xyz - cameraPosition;
  float edge = 1.0 - max(-dot(n, toPoint) / length(toPoint), 0.0);
  float rim = edge * edge * edge * max(n.y + 0.4, 0.0);
  vec3 own = mix(color.rgb, vec3(dot(color.rgb, vec3(0.3, 0.5, 0.2))) * 0.8, uDim);
  float glow = color.a * max(uGlow, 0.35) * (1.0 - uDim);
  vec3 ambient = own * (ambientLight(n) * (1.0 - 0.8 * glow) + 1.1 * glow + 0.07 + 0.1 * uGlow + uBright)
    + (uSkyLight + uSunColor) * rim * 0.22 * (1.0 - uDim);
  give(ambient, own * sunLight(n), uFogColor, fogAt(length(toPoint)), at.xyz + vec3(0.0, 0.12, 0.0));
  gl_Position = projectionMatrix * (viewMatrix * at);
}
`;

/** The material of one figure. Its limbs are matrices from the figure into the world. All figures share the program; each has its own limbs. */
export function figureMaterial(materials: Materials, limbs: readonly Matrix4[]): RawShaderMaterial {
  return materials.make({
    vertexShader: VERTEX, fragmentShader: LIT_FRAGMENT,
    uniforms: { uLimbs: { value: limbs }, uDim: { value: 0 }, uBright: { value: 0 } },
  });
}
