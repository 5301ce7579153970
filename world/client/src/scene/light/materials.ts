import { GLSL3, RawShaderMaterial, type ShaderMaterialParameters } from "three";
import { SHADOW_PARS, type ShadowUniforms } from "./shadow-pass";
import type { WorldUniforms } from "./uniforms";

/** Where a fragment shader wants the shadow functions. */
export const SHADOW_MARK = "//shadows";

/** Makes materials that share the light, and switches the sun's shadows on and off in all of them. */
export class Materials {
  private readonly made: RawShaderMaterial[] = [];
  private readonly shadow: ShadowUniforms;
  private areShadowsOn = false;
  /** The uniforms that all materials share. */
  readonly world: WorldUniforms;

  constructor(world: WorldUniforms, shadow: ShadowUniforms) {
    this.world = world;
    this.shadow = shadow;
  }

  /** Make a material; `own` are uniforms that it does not share. */
  make(parameters: ShaderMaterialParameters & { vertexShader: string; fragmentShader: string }): RawShaderMaterial {
    const receives = parameters.fragmentShader.includes(SHADOW_MARK);
    const material = new RawShaderMaterial({
      ...parameters,
      glslVersion: GLSL3,
      fragmentShader: parameters.fragmentShader.replace(SHADOW_MARK, `#ifdef SHADOWS\n${SHADOW_PARS}\n#endif`),
    });
    material.uniforms = { ...this.world, ...(receives ? this.shadow : {}), ...parameters.uniforms };
    if (receives) this.setDefine(material);
    this.made.push(material);
    return material;
  }

  /** Let the sun throw shadows, or not. */
  shadows(on: boolean): void {
    if (on === this.areShadowsOn) return;
    this.areShadowsOn = on;
    for (const material of this.made) {
      if ("uShadowMap" in material.uniforms) this.setDefine(material);
    }
  }

  /** Free a material that is not needed any more. */
  free(material: RawShaderMaterial): void {
    const index = this.made.indexOf(material);
    if (index >= 0) this.made.splice(index, 1);
    material.dispose();
  }

  dispose(): void {
    for (const material of this.made) material.dispose();
    this.made.length = 0;
  }

  private setDefine(material: RawShaderMaterial): void {
    material.defines = this.areShadowsOn ? { SHADOWS: 1 } : {};
    material.needsUpdate = true;
  }
}
