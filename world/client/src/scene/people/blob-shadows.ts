import { BufferAttribute, BufferGeometry, DynamicDrawUsage, Mesh } from "three";
import { footingAt, heightAt } from "../ground/terrain";
import { normalAt } from "../ground/ground-mesh";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";

const MOST = 64;
const LIFT_M = 0.075;
const FLAT = [0, 1, 0] as const;

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 aSpot;
out vec3 vSpot;
${LIGHT}
void main() {
  vSpot = vec3(aSpot.xy, aSpot.z * (1.0 - fogAt(length(position - cameraPosition))));
  gl_Position = projectionMatrix * (viewMatrix * vec4(position, 1.0));
}
`;
const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
in vec3 vSpot;
void main() {
  float soft = max(0.0, 1.0 - length(vSpot.xy));
  outColor = vec4(0.12, 0.13, 0.25, soft * (2.0 - soft) * vSpot.z);
}
`;

/** Soft round shadows under all figures, as one draw. */
export class BlobShadows {
  readonly mesh: Mesh;
  private readonly positions = new BufferAttribute(new Float32Array(MOST * 12), 3).setUsage(DynamicDrawUsage);
  private readonly spots = new BufferAttribute(new Float32Array(MOST * 12), 3).setUsage(DynamicDrawUsage);
  private count = 0;

  constructor(materials: Materials) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", this.positions);
    geometry.setAttribute("aSpot", this.spots);
    geometry.setIndex(Array.from({ length: MOST }, (_, spot) => [0, 1, 2, 0, 2, 3].map((corner) => spot * 4 + corner)).flat());
    this.mesh = new Mesh(geometry, materials.make({
      vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthWrite: false,
      polygonOffset: true, polygonOffsetFactor: -1, polygonOffsetUnits: -4,
    }));
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 2;
  }

  /** Begin a frame. */
  clear(): void {
    this.count = 0;
  }

  /** Add a shadow; it fades with the height of a jump. */
  add(x: number, z: number, jumpM: number, radiusM = 0.5): void {
    if (this.count >= MOST) return;
    const first = this.count * 4;
    const y = footingAt(x, z) + LIFT_M;
    const [nx, ny, nz] = y - LIFT_M > heightAt(x, z) ? FLAT : normalAt(x, z);
    const strength = 0.5 / (1 + jumpM * 1.3);
    [[-1, 1], [1, 1], [1, -1], [-1, -1]].forEach(([across = 0, along = 0], corner) => {
      const [dx, dz] = [across * radiusM, along * radiusM];
      this.positions.setXYZ(first + corner, x + dx, y - (nx * dx + nz * dz) / ny, z + dz);
      this.spots.setXYZ(first + corner, across, along, strength);
    });
    this.count += 1;
  }

  /** End a frame. */
  flush(): void {
    this.mesh.geometry.setDrawRange(0, this.count * 6);
    this.positions.needsUpdate = this.spots.needsUpdate = true;
  }

  dispose(): void {
    this.mesh.geometry.dispose();
  }
}
