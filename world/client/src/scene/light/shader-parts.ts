/** Declarations of the shared uniforms and three's matrices, for vertex shaders. */
export const VERTEX_HEAD = /* glsl */ `
precision highp float;
uniform mat4 modelMatrix;
uniform mat4 viewMatrix;
uniform mat4 projectionMatrix;
uniform vec3 cameraPosition;
uniform float uTimeS, uGlow, uStars, uWind, uPixels, uGlowPx;
uniform vec3 uSunDirection, uSunFlat, uSunColor, uSkyLight, uGroundLight, uFogColor, uFogSunColor;
uniform vec3 uSkyTop, uSkyMiddle, uCloudColor, uCloudShade, uWaterTop, uWaterDeep;
`;

/** The head of fragment shaders. */
export const FRAGMENT_HEAD = /* glsl */ `
precision highp float;
out vec4 outColor;
`;

/**
 * Light and fog per corner. Faces are flat, so light per corner looks the same as light per pixel and costs far less
 * without a graphics card. Colours stay as on the screen; nothing is converted.
 */
export const LIGHT = /* glsl */ `
vec3 ambientLight(vec3 normal) {
  return mix(uGroundLight, uSkyLight, normal.y * 0.5 + 0.5);
}
vec3 sunLight(vec3 normal) {
  float facing = dot(normal, uSunDirection);
  return uSunColor * (max(facing, 0.0) + 0.12 * (facing + 1.0));
}
vec3 fogColorAt(vec3 toPoint, float distanceM) {
  float facing = max(dot(toPoint, uSunFlat) / (distanceM + 0.01), 0.0);
  return mix(uFogColor, uFogSunColor, facing * facing * facing);
}
float fogAt(float distanceM) {
  float thick = distanceM * 0.0078;
  thick *= thick;
  return thick / (0.9 + thick);
}
`;

/** Moves a point in the wind. */
export const WIND = /* glsl */ `
vec3 blown(vec3 at, float sway) {
  float phase = at.x * 0.35 + at.z * 0.27;
  float gust = sin(uTimeS * 1.7 + phase) + 0.5 * sin(uTimeS * 3.9 + phase * 2.3);
  return at + vec3(gust, -abs(gust) * 0.25, gust * 0.45) * sway * uWind * 0.16;
}
`;
