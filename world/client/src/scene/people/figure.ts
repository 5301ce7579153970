import { Group, Mesh, type BufferGeometry, type IUniform, type Matrix4, type RawShaderMaterial } from "three";
import { limitTo } from "../build/sizes";
import type { Materials } from "../light/materials";
import { figureMaterial } from "./figure-material";
import { limbMatrices, setLimbs, type Joints } from "./limbs";
import type { Pose } from "./pose";

/** A body in the world that takes poses; people and bots have one each. It costs one draw. */
export class Figure {
  readonly group = new Group();
  readonly mesh: Mesh;
  private readonly materials: Materials;
  private readonly material: RawShaderMaterial;
  private readonly limbs: Matrix4[];
  private readonly joints: Joints;

  constructor(materials: Materials, geometry: BufferGeometry, joints: Joints) {
    this.materials = materials;
    this.joints = joints;
    this.limbs = limbMatrices();
    this.material = figureMaterial(materials, this.limbs);
    this.mesh = new Mesh(geometry, this.material);
    this.group.add(this.mesh);
  }

  /** Take a pose; the group has to be where it shall stand before. */
  pose(pose: Pose): void {
    setLimbs(this.limbs, pose, this.joints);
    this.group.updateMatrix();
    for (const limb of this.limbs) limb.premultiply(this.group.matrix);
  }

  /** Wear another geometry. */
  dress(geometry: BufferGeometry): void {
    this.mesh.geometry.dispose();
    this.mesh.geometry = geometry;
  }

  /** Leave out shapes that are smaller. */
  limit(leastM: number): void {
    limitTo(this.mesh.geometry, leastM);
  }

  /** Grey out, from 0 to 1, and brighten. */
  tint(dim: number, bright: number): void {
    (this.material.uniforms.uDim as IUniform<number>).value = dim;
    (this.material.uniforms.uBright as IUniform<number>).value = bright;
  }

  dispose(): void {
    this.group.removeFromParent();
    this.mesh.geometry.dispose();
    this.materials.free(this.material);
  }
}
