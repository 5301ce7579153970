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
#ifdef SHADOWS
out vec3 vAt;
out vec3 vSun;
#endif
out vec3 vAmbient;
out vec4 vFog;
${LIGHT}
void main() {
  vec3 toPoint = position - cameraPosition;
  vFog = vec4(fogColorAt(toPoint, length(toPoint)), fogAt(length(toPoint)));
  vUv = uv;
  vAmbient = ambientLight(normal);
  #ifdef SHADOWS
  vSun = sunLight(normal);
  vAt = position + vec3(0.0, 0.06, 0.0);
  #else
  vAmbient += sunLight(normal);
  #endif
  gl_Position = projectionMatrix * (viewMatrix * vec4(position, 1.0));
}
`;

const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform sampler2D uPaint;
in vec2 vUv;
in vec3 vAmbient;
in vec4 vFog;
#ifdef SHADOWS
in vec3 vAt;
in vec3 vSun;
#endif
${SHADOW_MARK}
void main() {
  vec3 light = vAmbient;
  #ifdef SHADOWS
  light += vSun * sunShare(vAt);
  #endif
  outColor = vec4(mix(texture(uPaint, vUv).rgb * light, vFog.rgb, vFog.a), 1.0);
}
`;

/** The ground over the painted texture, in bands from north to south, so that what is out of sight is not drawn. */
export function groundMeshes(materials: Materials, paint: CanvasTexture, cellM: number): Mesh[] {
  const material = materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms: { uPaint: { value: paint } },
  });
  return groundBands(cellM).map((geometry) => {
    const mesh = new Mesh(geometry, material);
    // After what stands on it, so that hidden ground is not painted; the sky comes even later.
    mesh.renderOrder = 0.5;
    return mesh;
  });
}

/** Where the ground is steep, by its axis: across and along the hill, and along the lake. */
const STEEP_X = [[-28, 28]] as const;
const STEEP_Z = [[-88, -32], [42, 82]] as const;
const COARSE = 3;
const BANDS = 6;

/** Lines of the grid: close where the ground is steep, wide elsewhere. */
function gridLines(cellM: number, steep: readonly (readonly [number, number])[]): number[] {
  const lines = [-GROUND_HALF_M];
  for (let at = -GROUND_HALF_M; at < GROUND_HALF_M;) {
    const isSteep = steep.some(([from, to]) => at + cellM * COARSE > from && at < to);
    at = Math.min(GROUND_HALF_M, at + cellM * (isSteep ? 1 : COARSE));
    lines.push(at);
  }
  return lines;
}

function groundBands(cellM: number): BufferGeometry[] {
  const [xs, zs] = [gridLines(cellM, STEEP_X), gridLines(cellM, STEEP_Z)];
  const rows = Math.ceil((zs.length - 1) / BANDS);
  return Array.from({ length: BANDS }, (_, band) => bandGeometry(xs, zs.slice(band * rows, (band + 1) * rows + 1)))
    .filter((geometry) => geometry.index?.count);
}

function bandGeometry(xs: readonly number[], zs: readonly number[]): BufferGeometry {
  const positions: number[] = [];
  const normals: number[] = [];
  const uvs: number[] = [];
  for (const z of zs) {
    for (const x of xs) {
      positions.push(x, heightAt(x, z), z);
      normals.push(...normalAt(x, z));
      uvs.push(0.5 + x / (GROUND_HALF_M * 2), 0.5 + z / (GROUND_HALF_M * 2));
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("normal", new BufferAttribute(new Float32Array(normals), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array(uvs), 2));
  geometry.setIndex(new BufferAttribute(new Uint32Array(cellIndexes(xs.length - 1, zs.length - 1)), 1));
  return geometry;
}

function cellIndexes(columns: number, rows: number): number[] {
  const indexes: number[] = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const corner = row * (columns + 1) + column;
      const below = corner + columns + 1;
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
