import { SHADOW_MARK } from "./materials";
import { FRAGMENT_HEAD } from "./shader-parts";

/**
 * How lit corners reach the pixels. Without shadows everything is mixed per corner, and pixels only copy: that is what
 * makes the world quick without a graphics card. With shadows the sun's part comes separately.
 */
export const LIT_OUT = /* glsl */ `
#ifdef SHADOWS
out vec3 vAmbient;
out vec3 vSun;
out vec4 vFog;
out vec3 vAt;
void give(vec3 ambient, vec3 sun, vec3 fogColor, float fog, vec3 at) {
  vAmbient = ambient;
  vSun = sun;
  vFog = vec4(fogColor, fog);
  vAt = at;
}
#else
out vec3 vColor;
void give(vec3 ambient, vec3 sun, vec3 fogColor, float fog, vec3 at) {
  vColor = mix(ambient + sun, fogColor, fog);
}
#endif
`;

/** The fragment shader that belongs to {@link LIT_OUT}. */
export const LIT_FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
${SHADOW_MARK}
#ifdef SHADOWS
in vec3 vAmbient;
in vec3 vSun;
in vec4 vFog;
in vec3 vAt;
void main() {
  outColor = vec4(mix(vAmbient + vSun * sunShare(vAt), vFog.rgb, vFog.a), 1.0);
}
#else
in vec3 vColor;
void main() {
  outColor = vec4(vColor, 1.0);
}
#endif
`;
