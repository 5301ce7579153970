import { BufferAttribute, BufferGeometry, Mesh, type CanvasTexture } from "three";
import type { Materials } from "../light/materials";
import { SHADOW_MARK } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { GROUND_HALF_M } from "./ground-paint";
import { heightAt } from "./terrain";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 normal;
in vec2 uv;
out vec2 vUv;
out vec3 vAmbient;
out vec3 vSun;
out vec4 vFog;
out vec3 vAt;
${LIGHT}
void main() {
  vAmbient = ambientLight(normal);
  vSun = sunLight(normal);
  vec3 toPoint = position - cameraPosition;
  vFog = vec4(fogColorAt(toPoint), fogAt(length(toPoint)));
  vUv = uv;
  vAt = position + vec3(0.0, 0.06, 0.0);
  gl_Position = projectionMatrix * viewMatrix * vec4(position, 1.0);
}
`;

const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform sampler2D uPaint;
in vec2 vUv;
in vec3 vAmbient;
in vec3 vSun;
in vec4 vFog;
in vec3 vAt;
${SHADOW_MARK}
void main() {
  #ifdef SHADOWS
  vec3 light = vAmbient + vSun * sunShare(vAt);
  #else
  vec3 light = vAmbient + vSun;
  #endif
  outColor = vec4(mix(texture(uPaint, vUv).rgb * light, vFog.rgb, vFog.a), 1.0);
}
`;

/** The ground as one mesh over the painted texture. */
export function groundMesh(materials: Materials, paint: CanvasTexture, cellM: number): Mesh {
  const material = materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms: { uPaint: { value: paint } },
  });
  const mesh = new Mesh(groundGeometry(cellM), material);
  mesh.frustumCulled = false;
  return mesh;
}

function groundGeometry(cellM: number): BufferGeometry {
  const cells = Math.ceil((GROUND_HALF_M * 2) / cellM);
  const positions: number[] = [];
  const normals: number[] = [];
  const uvs: number[] = [];
  for (let row = 0; row <= cells; row += 1) {
    for (let column = 0; column <= cells; column += 1) {
      const [u, v] = [column / cells, row / cells];
      const x = (u * 2 - 1) * GROUND_HALF_M;
      const z = (v * 2 - 1) * GROUND_HALF_M;
      positions.push(x, heightAt(x, z), z);
      normals.push(...normalAt(x, z));
      uvs.push(u, v);
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("normal", new BufferAttribute(new Float32Array(normals), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array(uvs), 2));
  geometry.setIndex(new BufferAttribute(new Uint32Array(cellIndexes(cells)), 1));
  return geometry;
}

function cellIndexes(cells: number): number[] {
  const indexes: number[] = [];
  for (let row = 0; row < cells; row += 1) {
    for (let column = 0; column < cells; column += 1) {
      const corner = row * (cells + 1) + column;
      const below = corner + cells + 1;
      indexes.push(corner, below, below + 1, corner, below + 1, corner + 1);
    }
  }
  return indexes;
}

/** The ground's normal at a point. */
export function normalAt(x: number, z: number): [number, number, number] {
  const reach = 0.6;
  const dx = heightAt(x + reach, z) - heightAt(x - reach, z);
  const dz = heightAt(x, z + reach) - heightAt(x, z - reach);
  const length = Math.hypot(dx, 2 * reach, dz);
  return [-dx / length, (2 * reach) / length, -dz / length];
}
