import type { Matrix4, RawShaderMaterial } from "three";
import type { Materials } from "../light/materials";
import { SHADOW_MARK } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { LIMB_COUNT } from "./pose";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
uniform mat4 uLimbs[${LIMB_COUNT}];
uniform float uDim, uBright;
in vec3 position;
in vec3 normal;
in vec4 color;
in vec4 aExtra;
out vec3 vAmbient;
out vec3 vSun;
out vec4 vFog;
out vec3 vAt;
${LIGHT}
void main() {
  mat4 limb = modelMatrix * uLimbs[int(aExtra.y + 0.5)];
  vec4 at = limb * vec4(position, 1.0);
  vec3 n = normalize(mat3(limb) * normal);
  vec3 toPoint = at.xyz - cameraPosition;
  float rim = pow(1.0 - max(dot(n, -normalize(toPoint)), 0.0), 3.0) * max(n.y + 0.4, 0.0);
  vec3 own = mix(color.rgb, vec3(dot(color.rgb, vec3(0.3, 0.5, 0.2))) * 0.8, uDim);
  float glow = color.a * max(uGlow, 0.35) * (1.0 - uDim);
  vAmbient = own * (ambientLight(n) * (1.0 - 0.8 * glow) + 1.1 * glow + 0.07 + 0.1 * uGlow + uBright)
    + (uSkyLight + uSunColor) * rim * 0.22 * (1.0 - uDim);
  vSun = own * sunLight(n);
  vFog = vec4(fogColorAt(toPoint), fogAt(length(toPoint)));
  vAt = at.xyz + vec3(0.0, 0.12, 0.0);
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

/** The material of one figure. All figures share the program; each has its own limbs. */
export function figureMaterial(materials: Materials, limbs: readonly Matrix4[]): RawShaderMaterial {
  return materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT,
    uniforms: { uLimbs: { value: limbs }, uDim: { value: 0 }, uBright: { value: 0 } },
  });
}
