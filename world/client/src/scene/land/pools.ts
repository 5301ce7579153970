import { AdditiveBlending, BufferAttribute, BufferGeometry, Mesh } from "three";
import { channels } from "../build/mesh-builder";
import { heightAt } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";

/** Light that falls on the ground about a lamp in the evening. */
export interface Pool {
  x: number;
  z: number;
  radiusM: number;
  color: number;
  strength?: number;
}

/** Share of the radius, and brightness there: soft, or a plain cone. */
const SOFT = { sides: 8, rings: [[0.5, 0.38], [1, 0]] } as const;
const PLAIN = { sides: 6, rings: [[0.9, 0]] } as const;
const LIFT_M = 0.07;

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 color;
out vec3 vColor;
${LIGHT}
void main() {
  float clear = 1.0 - fogAt(length(position - cameraPosition));
  vColor = color * uGlow * clear;
  gl_Position = projectionMatrix * (viewMatrix * vec4(position, 1.0));
}
`;
const FRAGMENT = `${FRAGMENT_HEAD}\nin vec3 vColor;\nvoid main() { outColor = vec4(vColor, 1.0); }`;

/** All pools of light as one draw; they lie on the ground and follow its height. Below a fineness of 1 they are plainer. */
export function poolMesh(materials: Materials, pools: readonly Pool[], fineness: number): Mesh {
  const positions: number[] = [];
  const colors: number[] = [];
  const indexes: number[] = [];
  for (const pool of pools) addPool(pool, fineness < 1 ? PLAIN : SOFT, { positions, colors, indexes });
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(colors), 3));
  geometry.setIndex(indexes);
  const mesh = new Mesh(geometry, materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthWrite: false, blending: AdditiveBlending,
    polygonOffset: true, polygonOffsetFactor: -2, polygonOffsetUnits: -2,
  }));
  mesh.frustumCulled = false;
  mesh.renderOrder = 3;
  return mesh;
}

/** Brightness falls off in rings: a fan in the middle, bands round it. */
function addPool(
  pool: Pool, { sides, rings }: typeof SOFT | typeof PLAIN, into: { positions: number[]; colors: number[]; indexes: number[] },
): void {
  const { positions, colors, indexes } = into;
  const first = positions.length / 3;
  const color = channels(pool.color).map((part) => part * (pool.strength ?? 0.42));
  positions.push(pool.x, heightAt(pool.x, pool.z) + LIFT_M, pool.z);
  colors.push(...color);
  rings.forEach(([share, light], ring) => {
    for (let side = 0; side < sides; side += 1) {
      const angle = (side / sides) * Math.PI * 2;
      const x = pool.x + Math.sin(angle) * pool.radiusM * share;
      const z = pool.z + Math.cos(angle) * pool.radiusM * share;
      positions.push(x, heightAt(x, z) + LIFT_M, z);
      colors.push(...color.map((part) => part * light));
      const here = first + 1 + ring * sides + side;
      const there = first + 1 + ring * sides + ((side + 1) % sides);
      if (ring === 0) indexes.push(first, here, there);
      else indexes.push(here - sides, here, there, here - sides, there, there - sides);
    }
  });
}
