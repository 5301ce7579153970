import { Group, Mesh, type BufferGeometry } from "three";
import { MeshBuilder } from "../build/mesh-builder";
import { seeded } from "../core/random";
import { heightAt } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, VERTEX_HEAD } from "../light/shader-parts";
import { PALETTE } from "../palette";

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 normal;
in vec4 color;
out vec3 vColor;
void main() {
  vec4 at = modelMatrix * vec4(position, 1.0);
  vec3 n = normalize(mat3(modelMatrix) * normal);
  float facing = dot(normalize(at.xyz - cameraPosition), uSunFlat);
  vec3 haze = mix(uFogColor, uFogSunColor, pow(max(facing, 0.0), 3.0));
  float lit = 0.5 + 0.5 * dot(n, uSunDirection);
  vec3 cloud = mix(uCloudShade, uCloudColor, smoothstep(0.2, 0.9, lit));
  vec3 land = mix(color.rgb * (uSkyLight + uSunColor * lit), haze, 0.6);
  vColor = mix(land, cloud, color.a);
  gl_Position = projectionMatrix * (viewMatrix * at);
}
`;
const FRAGMENT = `${FRAGMENT_HEAD}\nin vec3 vColor;\nvoid main() { outColor = vec4(vColor, 1.0); }`;

/** What lies beyond the reach of players: a rim of land, blue mountains, and clouds that drift slowly. */
export interface Horizon {
  group: Group;
  /** Let the clouds drift. */
  update(timeS: number): void;
}

/** Build the far land and the clouds. */
export function horizon(materials: Materials, fineness: number): Horizon {
  const material = materials.make({ vertexShader: VERTEX, fragmentShader: FRAGMENT });
  const land = new Mesh(farLand(fineness), material);
  const clouds = new Mesh(cloudRing(fineness), material);
  const group = new Group();
  for (const mesh of [land, clouds]) {
    mesh.frustumCulled = false;
    group.add(mesh);
  }
  return {
    group,
    update: (timeS) => {
      clouds.rotation.y = timeS * 0.004;
    },
  };
}

function farLand(fineness: number): BufferGeometry {
  const builder = new MeshBuilder(12, fineness).uneven(0.02);
  rimOfLand(builder, fineness < 1 ? 32 : 56);
  ridge(builder, 215, 26, 13, PALETTE.far, 3);
  ridge(builder, 285, 52, 11, PALETTE.farther, 9);
  return builder.geometry();
}

/** Joins the square of the painted ground with the mountains. */
function rimOfLand(builder: MeshBuilder, sides: number): void {
  builder.paint(PALETTE.grassDark);
  const distances = [96, 112, 130, 150, 190];
  distances.slice(0, -1).forEach((inner, ring) => {
    const outer = distances[ring + 1] ?? inner;
    for (let side = 0; side < sides; side += 1) {
      const corner = (radius: number, step: number): { x: number; y: number; z: number; up: number } => {
        const angle = (step / sides) * Math.PI * 2;
        const [x, z] = [Math.sin(angle) * radius, Math.cos(angle) * radius];
        return { x, y: heightAt(x, z) - (radius < 100 ? 1.5 : 0.2), z, up: 0 };
      };
      builder.face([corner(inner, side), corner(outer, side), corner(outer, side + 1), corner(inner, side + 1)]);
    }
  });
}

function ridge(builder: MeshBuilder, distanceM: number, highM: number, peaks: number, color: number, seed: number): void {
  const random = seeded(seed);
  for (let peak = 0; peak < peaks; peak += 1) {
    const angle = ((peak + random() * 0.7) / peaks) * Math.PI * 2;
    const size = 0.6 + random() * 0.6;
    builder.paint(color, color).within({
      x: Math.sin(angle) * distanceM, z: Math.cos(angle) * distanceM, y: -4, turn: random() * 6,
    }, () => {
      builder.lathe(0, 0, 0, [
        [distanceM * 0.3 * size, 0], [distanceM * 0.17 * size, highM * 0.45 * size],
        [distanceM * 0.06 * size, highM * 0.82 * size], [0, highM * size],
      ], 7, false);
    });
  }
}

function cloudRing(fineness: number): BufferGeometry {
  const builder = new MeshBuilder(5, fineness).uneven(0);
  const random = seeded(19);
  builder.shine(PALETTE.cloud, 1);
  const clouds = fineness < 1 ? 9 : 15;
  for (let count = 0; count < clouds; count += 1) {
    const angle = (count / clouds) * Math.PI * 2 + random() * 0.3;
    const distance = 150 + random() * 130;
    const where = { x: Math.sin(angle) * distance, y: 48 + random() * 46, z: Math.cos(angle) * distance, turn: angle };
    builder.within({ ...where, scale: 0.7 + random() * 0.9 }, () => {
      const puffs = 3 + Math.floor(random() * 3);
      for (let puff = 0; puff < puffs; puff += 1) {
        const across = (puff - (puffs - 1) / 2) * 8.5;
        const size = 7.5 - Math.abs(across) * 0.24 + random() * 2;
        builder.ball(across, size * 0.25, random() * 4, size * 1.15, size * 0.58, size * 0.8, { sides: 7, rows: 4, rough: 0.08 });
      }
    });
  }
  return builder.geometry();
}
