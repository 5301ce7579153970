import { GLSL3, RawShaderMaterial, type ShaderMaterialParameters } from "three";
import { SHADOW_PARS, type ShadowUniforms } from "./shadow-pass";
import type { WorldUniforms } from "./uniforms";

/** Where a fragment shader wants the shadow functions. */
export const SHADOW_MARK = "//shadows";

/** Where a vertex shader can let plants sway. */
export const WIND_MARK = "WIND_BLOWS";

/** Makes materials that share the light, and switches the sun's shadows on and off in all of them. */
export class Materials {
  private readonly made: RawShaderMaterial[] = [];
  private readonly shadow: ShadowUniforms;
  private areShadowsOn = false;
  private isWindy = true;
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
    this.setDefines(material);
    this.made.push(material);
    return material;
  }

  /** Let the sun throw shadows, or not. */
  shadows(on: boolean): void {
    if (on === this.areShadowsOn) return;
    this.areShadowsOn = on;
    for (const material of this.made) this.setDefines(material);
  }

  /** Let plants sway in the wind, or stand still, which is much cheaper without a graphics card. */
  wind(on: boolean): void {
    if (on === this.isWindy) return;
    this.isWindy = on;
    for (const material of this.made) this.setDefines(material);
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

  private setDefines(material: RawShaderMaterial): void {
    const defines: Record<string, number> = {};
    if (this.areShadowsOn && "uShadowMap" in material.uniforms) defines.SHADOWS = 1;
    if (this.isWindy && material.vertexShader.includes(WIND_MARK)) defines[WIND_MARK] = 1;
    if (Object.keys(defines).join() === Object.keys(material.defines ?? {}).join()) return;
    material.defines = defines;
    material.needsUpdate = true;
  }
}
