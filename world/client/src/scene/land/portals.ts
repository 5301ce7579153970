import { BufferAttribute, BufferGeometry, DoubleSide, Mesh } from "three";
import { channels, type MeshBuilder } from "../build/mesh-builder";
import { PLACES, placeOf } from "../core/places";
import { heightAt } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { FRAGMENT_HEAD, LIGHT, VERTEX_HEAD } from "../light/shader-parts";
import { PALETTE, PLACE_COLORS } from "../palette";
import { Site } from "./site";

const WEB_COLOR = 0x6fe3e0;
const WIDTH_M = 1.05;
const HEIGHT_M = 1.45;
const CENTER_M = 1.72;

interface Door {
  x: number;
  z: number;
  turn: number;
  color: number;
}

/** Where a portal's visitors come from, so that it faces them. */
function facing(x: number, z: number, from: string): number {
  if (from === "plaza") return Math.atan2(-x * 0.5, 8 - z);
  const place = placeOf(from);
  return Math.atan2(place.x - x, place.z - z) * 0.5 + Math.atan2(-x, -z) * 0.5;
}

/**
 * The frames and name signs of all portals, those of the plaza first and then each way back by itself; the light inside
 * is drawn by {@link portalLight}.
 */
export function portals(fineness: number, language: "ko" | "en"): { atPlaza: Site; waysBack: Site[] } {
  const atPlaza = new Site(111, fineness);
  const waysBack: Site[] = [];
  PLACES.portals.forEach((portal, index) => {
    const place = placeOf(portal.to);
    const site = portal.from === "plaza" ? atPlaza : new Site(112 + index, fineness);
    if (site !== atPlaza) waysBack.push(site);
    const turn = facing(portal.x, portal.z, portal.from);
    frame(site, portal.x, portal.z, turn, PLACE_COLORS[portal.to] ?? PALETTE.gold, place[language], portal.to);
  });
  for (const web of PLACES.web_portals) {
    const turn = facing(web.x, web.z, web.place);
    const site = web.place === "plaza" ? atPlaza : new Site(131, fineness);
    if (site !== atPlaza) waysBack.push(site);
    gateway(site, web.x, web.z, turn, language === "ko" ? "바깥 구경" : "Websites");
  }
  return { atPlaza, waysBack };
}

function frame(site: Site, x: number, z: number, turn: number, color: number, name: string, icon: string): void {
  site.stand(x, z, turn, (builder) => {
    builder.paint(PALETTE.stoneBlue, PALETTE.stone).lathe(0, 0, 0, [[1.65, 0], [1.6, 0.1], [1.35, 0.16]], 10, false);
    builder.paint(PALETTE.stone).ring(0, 0.16, 0, 0, 1.35, 10);
    archStones(builder, color, site.fineness < 1 ? 12 : 18);
    for (const side of [-1.28, 1.28]) {
      builder.paint(PALETTE.stoneBlue, PALETTE.stone).box(side, 0.12, 0, 0.5, 0.5, 0.5);
      builder.shine(color, 1).ball(side, 0.82, 0, 0.17, 0.2, 0.17, { rows: 4, sides: 6 });
    }
    builder.paint(PALETTE.woodDark).box(0, 3.36, 0, 2.5, 0.68, 0.14);
    builder.shine(color, 0.7).within({ y: 4.32 }, () => builder.star(0, 0, 0, 0.3, 0.13, 0.1));
  });
  const y = heightAt(x, z) + 3.7;
  for (const side of [1, -1]) {
    site.signs.push({
      text: name, icon, widthM: 2.36, heightM: 0.58, color: PALETTE.cream, ink: PALETTE.ink,
      where: { x: x + Math.sin(turn) * 0.085 * side, y, z: z + Math.cos(turn) * 0.085 * side, turn: side > 0 ? turn : turn + Math.PI },
    });
  }
  site.glows.push({ x, y: heightAt(x, z) + 1.7, z, color, sizeM: 4.6 });
  site.pools.push({ x: x + Math.sin(turn) * 1.6, z: z + Math.cos(turn) * 1.6, radiusM: 2.9, color, strength: 0.5 });
  for (const side of [-1.28, 1.28]) site.block(x + Math.cos(turn) * side, z - Math.sin(turn) * side, 0.22);
  site.shade(x, z, 2.1, 0.3);
}

/** Stones in an oval; every third wears the colour of the place behind the portal. */
function archStones(builder: MeshBuilder, color: number, count: number): void {
  for (let stone = 0; stone < count; stone += 1) {
    const angle = (stone / count) * Math.PI * 2;
    if (stone % 3 === 0) builder.shine(color, 0.8);
    else builder.paint(PALETTE.stoneWarm);
    builder.within({
      x: Math.sin(angle) * (WIDTH_M + 0.14), y: CENTER_M + Math.cos(angle) * (HEIGHT_M + 0.14), roll: -angle,
    }, () => builder.box(0, -0.16, 0, 8.3 / count, 0.32, 0.42));
  }
}

/** A slim ring with a globe on top: a door out of this world. */
function gateway(site: Site, x: number, z: number, turn: number, name: string): void {
  site.stand(x, z, turn, (builder) => {
    builder.paint(PALETTE.nightDeep, PALETTE.night).lathe(0, 0, 0, [[1.5, 0], [1.3, 0.22]], 6);
    for (let step = 0; step < 12; step += 1) {
      const angle = (step / 12) * Math.PI * 2;
      builder.shine(step % 2 ? WEB_COLOR : PALETTE.night, 0.9).within({
        x: Math.sin(angle) * (WIDTH_M + 0.1), y: CENTER_M + Math.cos(angle) * (HEIGHT_M + 0.1), roll: -angle,
      }, () => builder.box(0, -0.08, 0, 0.64, 0.16, 0.22));
    }
    builder.paint(PALETTE.nightDeep).box(0, 3.3, 0, 2, 0.56, 0.12);
  });
  site.signs.push({
    text: name, icon: "web", widthM: 1.9, heightM: 0.475, color: PALETTE.nightDeep, ink: 0xbff8f4,
    where: { x: x + Math.sin(turn) * 0.075, y: heightAt(x, z) + 3.58, z: z + Math.cos(turn) * 0.075, turn },
  });
  site.glows.push({ x, y: heightAt(x, z) + 1.7, z, color: WEB_COLOR, sizeM: 4 });
  site.pools.push({ x, z, radiusM: 2.8, color: WEB_COLOR, strength: 0.35 });
  site.shade(x, z, 1.9, 0.3);
}

const VERTEX = /* glsl */ `
${VERTEX_HEAD}
in vec3 position;
in vec3 color;
in vec2 uv;
out vec3 vColor;
out vec2 vUv;
out float vTimeS;
${LIGHT}
void main() {
  vColor = color;
  vUv = uv;
  vTimeS = uTimeS;
  gl_Position = projectionMatrix * (viewMatrix * vec4(position, 1.0));
}
`;
const FRAGMENT = /* glsl */ `
${FRAGMENT_HEAD}
uniform float uGlow;
in vec3 vColor;
in vec2 vUv;
in float vTimeS;
void main() {
  float r = length(vUv);
  float angle = atan(vUv.y, vUv.x);
  float swirl = 0.5 + 0.5 * sin(angle * 3.0 + r * 7.0 - vTimeS * 2.0);
  float rings = 0.5 + 0.5 * sin(r * 16.0 - vTimeS * 2.6 + angle);
  float core = smoothstep(1.0, 0.0, r);
  vec3 color = vColor * (0.5 + 0.35 * swirl + 0.2 * rings) + vec3(1.0) * (pow(core, 2.5) * 0.65 + 0.12 * swirl * core);
  float edge = smoothstep(1.0, 0.86, r);
  float alpha = edge * (0.72 + 0.2 * uGlow);
  outColor = vec4(color, alpha);
}
`;

/** The swirling light in all portals, as one draw. */
export function portalLight(materials: Materials): Mesh {
  const doors: Door[] = [
    ...PLACES.portals.map(({ x, z, from, to }) => ({ x, z, turn: facing(x, z, from), color: PLACE_COLORS[to] ?? PALETTE.gold })),
    ...PLACES.web_portals.map(({ x, z, place }) => ({ x, z, turn: facing(x, z, place), color: WEB_COLOR })),
  ];
  const positions: number[] = [];
  const colors: number[] = [];
  const uvs: number[] = [];
  const indexes: number[] = [];
  const sides = 16;
  for (const door of doors) {
    const first = positions.length / 3;
    const base = heightAt(door.x, door.z) + CENTER_M;
    for (let side = 0; side <= sides; side += 1) {
      const angle = (side / sides) * Math.PI * 2;
      const [u, v] = side === sides ? [0, 0] : [Math.cos(angle), Math.sin(angle)];
      const across = u * (WIDTH_M + 0.02);
      positions.push(door.x + Math.cos(door.turn) * across, base + v * (HEIGHT_M + 0.02), door.z - Math.sin(door.turn) * across);
      colors.push(...channels(door.color));
      uvs.push(u, v);
      if (side < sides) indexes.push(first + sides, first + side, first + ((side + 1) % sides));
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(colors), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array(uvs), 2));
  geometry.setIndex(indexes);
  const mesh = new Mesh(geometry, materials.make({
    vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthWrite: false, side: DoubleSide,
  }));
  mesh.frustumCulled = false;
  mesh.renderOrder = 4;
  return mesh;
}
