import {
  DepthTexture, GLSL3, Matrix4, NearestFilter, OrthographicCamera, RawShaderMaterial, Scene, Vector3, WebGLRenderer,
  WebGLRenderTarget, type IUniform,
} from "three";

/** Objects on this layer throw shadows. */
export const SHADOW_LAYER = 1;

const REACH_M = 34;
const TEXELS = 2048;
/** The shadow map follows in steps, so that it is drawn anew only now and then. */
const FOLLOW_STEP_M = 6;
const FAR_M = 160;

/** GLSL of `sunShare`: how much of the sun reaches a point. */
export const SHADOW_PARS = /* glsl */ `
uniform sampler2D uShadowMap;
uniform mat4 uShadowMatrix;
uniform float uShadowTexel;
float sunShare(vec3 at) {
  vec3 p = (uShadowMatrix * vec4(at, 1.0)).xyz;
  vec2 rim = smoothstep(vec2(0.5), vec2(0.42), abs(p.xy - 0.5));
  float lit = 0.0;
  for (int x = 0; x < 2; x++) for (int y = 0; y < 2; y++) {
    vec2 offset = (vec2(float(x), float(y)) - 0.5) * uShadowTexel * 1.6;
    lit += step(p.z - 0.0012, texture(uShadowMap, p.xy + offset).r) * 0.25;
  }
  return mix(1.0, lit, rim.x * rim.y * 0.8);
}
`;

/** Uniforms of materials that receive shadows. */
export interface ShadowUniforms {
  uShadowMap: IUniform<DepthTexture | null>;
  uShadowMatrix: IUniform<Matrix4>;
  uShadowTexel: IUniform<number>;
}

const DEPTH_VERTEX = /* glsl */ `
precision highp float;
uniform mat4 modelMatrix;
uniform mat4 viewMatrix;
uniform mat4 projectionMatrix;
in vec3 position;
void main() { gl_Position = projectionMatrix * (viewMatrix * (modelMatrix * vec4(position, 1.0))); }
`;
const DEPTH_FRAGMENT = "precision highp float;\nout vec4 outColor;\nvoid main() { outColor = vec4(1.0); }";

/** The sun's shadows of what does not move. They are drawn again only when the player has gone on or the sun has. */
export class ShadowPass {
  readonly uniforms: ShadowUniforms = {
    uShadowMap: { value: null }, uShadowMatrix: { value: new Matrix4() }, uShadowTexel: { value: 1 / TEXELS },
  };
  private target: WebGLRenderTarget | null = null;
  private readonly camera = new OrthographicCamera(-REACH_M, REACH_M, REACH_M, -REACH_M, 1, FAR_M);
  private readonly material = new RawShaderMaterial({
    glslVersion: GLSL3, vertexShader: DEPTH_VERTEX, fragmentShader: DEPTH_FRAGMENT,
  });
  private drawn = "";

  constructor() {
    this.camera.layers.set(SHADOW_LAYER);
  }

  /** Draw the shadows about a point, if needed. */
  render(renderer: WebGLRenderer, scene: Scene, center: Vector3, sunDirection: Vector3, revision: number): void {
    const x = Math.round(center.x / FOLLOW_STEP_M) * FOLLOW_STEP_M;
    const z = Math.round(center.z / FOLLOW_STEP_M) * FOLLOW_STEP_M;
    const key = [x, z, revision, ...sunDirection.toArray().map((part) => part.toFixed(3))].join(" ");
    if (key === this.drawn) return;
    this.drawn = key;
    this.aim(x, center.y, z, sunDirection);
    this.target ??= this.makeTarget();
    scene.overrideMaterial = this.material;
    renderer.setRenderTarget(this.target);
    renderer.clear();
    renderer.render(scene, this.camera);
    renderer.setRenderTarget(null);
    scene.overrideMaterial = null;
  }

  /** Forget what was drawn, as after the graphics context was lost. */
  reset(): void {
    this.drawn = "";
  }

  dispose(): void {
    this.target?.depthTexture?.dispose();
    this.target?.dispose();
    this.material.dispose();
  }

  private makeTarget(): WebGLRenderTarget {
    const depthTexture = new DepthTexture(TEXELS, TEXELS);
    const target = new WebGLRenderTarget(TEXELS, TEXELS, {
      depthTexture, minFilter: NearestFilter, magFilter: NearestFilter,
    });
    this.uniforms.uShadowMap.value = depthTexture;
    return target;
  }

  private aim(x: number, y: number, z: number, sunDirection: Vector3): void {
    this.camera.position.set(x, y, z).addScaledVector(sunDirection, FAR_M / 2);
    this.camera.lookAt(x, y, z);
    this.camera.updateMatrixWorld();
    this.uniforms.uShadowMatrix.value
      .set(0.5, 0, 0, 0.5, 0, 0.5, 0, 0.5, 0, 0, 0.5, 0.5, 0, 0, 0, 1)
      .multiply(this.camera.projectionMatrix)
      .multiply(this.camera.matrixWorldInverse);
  }
}
