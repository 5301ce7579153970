import { Vector3, type IUniform } from "three";
import type { Daylight, Triple } from "./daylight";

/** Uniforms that all materials share, so that one change lights the whole world. */
export interface WorldUniforms {
  [name: string]: IUniform<unknown>;
  uTimeS: IUniform<number>;
  uGlow: IUniform<number>;
  uStars: IUniform<number>;
  uWind: IUniform<number>;
  /** The largest soft light about a lamp, in pixels. */
  uGlowPx: IUniform<number>;
  /** Pixels per metre at a distance of one metre, for points. */
  uPixels: IUniform<number>;
  uSunDirection: IUniform<Vector3>;
  /** The direction to the sun, flattened, for the fog before it. */
  uSunFlat: IUniform<Vector3>;
  uSunColor: IUniform<Vector3>;
  uSkyLight: IUniform<Vector3>;
  uGroundLight: IUniform<Vector3>;
  uFogColor: IUniform<Vector3>;
  uFogSunColor: IUniform<Vector3>;
  uSkyTop: IUniform<Vector3>;
  uSkyMiddle: IUniform<Vector3>;
  uCloudColor: IUniform<Vector3>;
  uCloudShade: IUniform<Vector3>;
  uWaterTop: IUniform<Vector3>;
  uWaterDeep: IUniform<Vector3>;
}

const FLAT = new Vector3(1, 0.25, 1);

/** Make the shared uniforms. */
export function worldUniforms(): WorldUniforms {
  const vector = (): IUniform<Vector3> => ({ value: new Vector3() });
  return {
    uTimeS: { value: 0 },
    uGlow: { value: 0 },
    uStars: { value: 0 },
    uWind: { value: 1 },
    uGlowPx: { value: 150 },
    uPixels: { value: 400 },
    uSunDirection: vector(),
    uSunFlat: vector(),
    uSunColor: vector(),
    uSkyLight: vector(),
    uGroundLight: vector(),
    uFogColor: vector(),
    uFogSunColor: vector(),
    uSkyTop: vector(),
    uSkyMiddle: vector(),
    uCloudColor: vector(),
    uCloudShade: vector(),
    uWaterTop: vector(),
    uWaterDeep: vector(),
  };
}

/** Light the world. */
export function applyDaylight(uniforms: WorldUniforms, light: Daylight): void {
  const set = (uniform: IUniform<Vector3>, [x, y, z]: Triple): void => void uniform.value.set(x, y, z);
  set(uniforms.uSunDirection, light.sunDirection);
  uniforms.uSunDirection.value.normalize();
  uniforms.uSunFlat.value.copy(uniforms.uSunDirection.value).multiply(FLAT).normalize();
  set(uniforms.uSunColor, light.sunColor);
  set(uniforms.uSkyLight, light.skyLight);
  set(uniforms.uGroundLight, light.groundLight);
  set(uniforms.uFogColor, light.fogColor);
  set(uniforms.uFogSunColor, light.fogSunColor);
  set(uniforms.uSkyTop, light.skyTop);
  set(uniforms.uSkyMiddle, light.skyMiddle);
  set(uniforms.uCloudColor, light.cloudColor);
  set(uniforms.uCloudShade, light.cloudShade);
  set(uniforms.uWaterTop, light.waterTop);
  set(uniforms.uWaterDeep, light.waterDeep);
  uniforms.uGlow.value = light.glow;
  uniforms.uStars.value = light.stars;
}
