import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE, PLACE_COLORS } from "../palette";
import { PLACES } from "../core/places";
import { Site } from "./site";

const RADIUS_M = 21;
/** Stones in a ring of the pavement. */
const SIDES = 56;
const TURN = Math.PI * 2;

/** The round square in the middle: a mosaic of the night sky about the fountain, benches, lamps and flower beds. */
export function plaza(fineness: number, language: "ko" | "en"): Site {
  const site = new Site(101, fineness);
  paving(site.builder);
  fountain(site);
  furniture(site);
  guidePost(site, language);
  for (const [x, z] of [[-11.5, -19], [11.5, -19]] as const) banner(site, x, z);
  return site;
}

function paving(builder: MeshBuilder): void {
  const bands: [number, number, number][] = [
    [0, 4.9, PALETTE.stone], [4.9, 5.6, PALETTE.stoneWarm], [5.6, 5.9, PALETTE.gold], [5.9, 7.7, PALETTE.night],
    [7.7, 9.5, PALETTE.nightDeep], [9.5, 9.8, PALETTE.gold], [9.8, 11.2, PALETTE.stone], [11.2, 12.6, PALETTE.stoneWarm],
    [12.6, 14, PALETTE.stone], [14, 14.35, PALETTE.stoneBlue], [14.35, 15.9, PALETTE.stoneWarm], [15.9, 17.4, PALETTE.stone],
    [17.4, 18.8, PALETTE.stoneWarm], [18.8, 19.1, PALETTE.goldDeep], [19.1, RADIUS_M, PALETTE.stoneBlue],
  ];
  builder.uneven(0.055);
  for (const [inner, outer, color] of bands) builder.paint(color).ring(0, 0.03, 0, inner, outer, SIDES);
  builder.uneven(0.03);
  rays(builder);
  inlaidStars(builder);
}

/** Short golden points about the dark ring, as of a sun; long ones looked like a broken ground from where players enter. */
function rays(builder: MeshBuilder): void {
  for (let ray = 0; ray < 16; ray += 1) {
    const angle = (ray / 16) * TURN;
    const [tip, half, y] = ray % 2 ? [10.6, 0.42, 0.042] : ray % 4 ? [11, 0.5, 0.046] : [11.6, 0.6, 0.05];
    for (const side of [-1, 1]) {
      builder.paint(side < 0 ? PALETTE.goldDeep : PALETTE.gold);
      const at = (radius: number, across: number): { x: number; y: number; z: number; up: number } => ({
        x: Math.sin(angle) * radius + Math.cos(angle) * across, y,
        z: Math.cos(angle) * radius - Math.sin(angle) * across, up: 0,
      });
      const corners = [at(9.8, 0), at(9.8, half * side), at(tip, 0)];
      builder.face(side > 0 ? corners.reverse() : corners);
    }
  }
}

/** Stars of glass in the dark band, which light up in the evening, and a few of brass in the pale pavement. */
function inlaidStars(builder: MeshBuilder): void {
  for (let index = 0; index < 20; index += 1) {
    const angle = ((index + 0.5) / 20) * TURN;
    const [radius, size] = index % 2 ? [13.1, 0.62] : [16.3, 0.9];
    builder.shine(index % 4 ? PALETTE.pathEdge : PALETTE.goldDeep, 0.5);
    builder.within({ x: Math.sin(angle) * radius, y: 0.05, z: Math.cos(angle) * radius, tilt: -Math.PI / 2, roll: angle }, () => {
      builder.star(0, 0, 0, size, size * 0.3, 0.01, 4);
    });
  }
  for (let index = 0; index < 46; index += 1) {
    const angle = index * 2.399;
    const radius = 6.5 + ((index * 0.618) % 1) * 2.5;
    const size = 0.12 + ((index * 0.37) % 1) * 0.2;
    builder.shine(index % 5 ? PALETTE.star : PALETTE.crystalBlue, 1);
    builder.within({ x: Math.sin(angle) * radius, y: 0.05, z: Math.cos(angle) * radius, tilt: -Math.PI / 2, roll: angle }, () => {
      builder.star(0, 0, 0, size, size * 0.42, 0.01, index % 3 ? 4 : 5);
    });
  }
}

/** A basin, a bowl above it, and a golden star on top; the water is drawn elsewhere. */
function fountain(site: Site): void {
  const { builder } = site;
  builder.paint(PALETTE.stoneDark, PALETTE.stone).lathe(0, 0, 0, [[4.25, 0], [4.25, 0.16], [4, 0.2]], 16);
  builder.paint(PALETTE.stoneBlue, PALETTE.stone);
  builder.lathe(0, 0.18, 0, [[3.8, 0], [3.9, 0.42], [4.02, 0.46], [4.02, 0.58], [3.5, 0.58], [3.4, 0.1]], 16, false);
  builder.paint(PALETTE.waterDeep).ring(0, 0.3, 0, 0, 3.5, 16);
  builder.paint(PALETTE.stoneBlue, PALETTE.stone);
  builder.lathe(0, 0.3, 0, [[0.95, 0], [0.5, 0.3], [0.42, 1], [0.7, 1.2], [1.75, 1.5], [1.85, 1.66], [1.6, 1.64], [0.5, 1.4]], 12, false);
  builder.lathe(0, 1.7, 0, [[0.34, 0], [0.26, 0.7], [0.42, 0.85], [0.95, 1.02], [1, 1.12], [0.8, 1.1]], 10, false);
  builder.paint(PALETTE.gold).tube(0, 2.7, 0, 0.2, 0.1, 0.35, 8);
  for (let index = 0; index < 8; index += 1) {
    const angle = ((index + 0.5) / 8) * TURN;
    builder.within({ x: Math.sin(angle) * 3.96, y: 0.44, z: Math.cos(angle) * 3.96, turn: angle }, () => {
      builder.shine(PALETTE.gold, 0.8).star(0, 0, 0, 0.17, 0.07, 0.06);
    });
  }
  site.movers.push({ builder: topStar(), x: 0, y: 3.75, z: 0, move: (mesh, timeS) => {
    mesh.rotation.y = timeS * 0.5;
    mesh.position.y = 3.75 + Math.sin(timeS * 1.1) * 0.06;
  } });
  site.glows.push({ x: 0, y: 3.75, z: 0, color: PALETTE.star, sizeM: 5 });
  site.glows.push({ x: 0, y: 0.9, z: 0, color: PALETTE.crystalBlue, sizeM: 6 });
  site.pools.push({ x: 0, z: 0, radiusM: 12, color: PALETTE.gold, strength: 0.4 });
  site.shade(0, 0, 5.4, 0.35);
  site.blockers.push({ x: 0, z: 0, radius_m: 4.2, topM: 0.9 }, { x: 0, z: 0, radius_m: 2, topM: 4 });
}

function topStar(): MeshBuilder {
  return new MeshBuilder(9).shine(PALETTE.gold, 1, PALETTE.star).star(0, 0, 0, 0.95, 0.42, 0.3);
}

function furniture(site: Site): void {
  for (const degrees of [35, 60, 120, 145, 215, 240, 300, 325]) {
    const angle = (degrees / 360) * TURN;
    site.bench(Math.sin(angle) * 16.2, Math.cos(angle) * 16.2, angle + Math.PI);
  }
  for (const degrees of [22, 68, 112, 158, 202, 248, 292, 338]) {
    const angle = (degrees / 360) * TURN;
    site.lamp(Math.sin(angle) * 19.9, Math.cos(angle) * 19.9);
  }
  for (const [degrees, distance] of [[41, 11.7], [132, 16.6], [227, 16.6], [312, 16.6]] as const) {
    const angle = (degrees / 360) * TURN;
    planter(site, Math.sin(angle) * distance, Math.cos(angle) * distance);
  }
}

function planter(site: Site, x: number, z: number): void {
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.stoneBlue, PALETTE.stone).lathe(0, 0, 0, [[1.1, 0], [1.25, 0.5], [1.05, 0.5], [1, 0.35]], 8, false);
    builder.paint(PALETTE.soil).ring(0, 0.4, 0, 0, 1.05, 8);
  });
  site.flowers(x, z, [PALETTE.blossom, PALETTE.gold, PALETTE.cream, PALETTE.lanternPink], 18, 0.95, 0.4);
  site.block(x, z, 1.2);
  site.shade(x, z, 2, 0.3);
}

/** A post with arrows to the four quarters. */
function guidePost(site: Site, language: "ko" | "en"): void {
  const [x, z] = [-7.9, 8.1];
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.13, 0.1, 3.1, 6);
    builder.shine(PALETTE.gold, 0.8).within({ y: 3.35 }, () => builder.star(0, 0, 0, 0.28, 0.12, 0.08));
  });
  site.block(x, z, 0.25);
  site.shade(x, z, 0.9);
  const arrows: [string, number][] = [["hill", 2.75], ["market", 2.35], ["library", 1.95], ["lake", 1.55]];
  for (const [id, y] of arrows) {
    const place = PLACES.places.find((found) => found.id === id);
    if (!place) continue;
    const angle = Math.atan2(place.x - x, place.z - z);
    arrowBoard(site, x, z, y, angle, id, language === "ko" ? place.ko : place.en);
  }
}

function arrowBoard(site: Site, x: number, z: number, y: number, angle: number, id: string, text: string): void {
  const turn = angle - Math.PI / 2;
  site.stand(x, z, turn, (builder) => {
    builder.paint(PALETTE.woodLight).box(0.65, y - 0.16, 0, 1.3, 0.32, 0.07);
    builder.paint(PLACE_COLORS[id] ?? PALETTE.gold).within({ x: 1.3, y, roll: -Math.PI / 2, scale: [1, 1, 0.22] }, () => {
      builder.tube(0, 0, 0, 0.24, 0, 0.26, 4);
    });
  });
  const along = [Math.sin(angle), Math.cos(angle)] as const;
  for (const side of [1, -1]) {
    const out = 0.045 * side;
    site.signs.push({
      text, where: {
        x: x + along[0] * 0.68 - along[1] * out, y, z: z + along[1] * 0.68 + along[0] * out,
        turn: side > 0 ? turn : turn + Math.PI,
      }, widthM: 1.16, heightM: 0.29, color: PALETTE.cream, ink: PALETTE.woodDark,
    });
  }
}

/** A long flag with a star. */
function banner(site: Site, x: number, z: number): void {
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.woodDark).tube(0, 0, 0, 0.12, 0.08, 5.4, 6);
    builder.shine(PALETTE.gold, 0.6).ball(0, 5.5, 0, 0.17);
    builder.paint(PALETTE.woodDark).box(0.55, 5.05, 0, 1.3, 0.07, 0.07);
    builder.sway(0, 0.5).paint(PALETTE.nightDeep, PALETTE.night).box(0.62, 2.5, 0, 1, 2.55, 0.04).sway(0);
    builder.sway(0.2, 0.3).shine(PALETTE.star, 0.8).within({ x: 0.62, y: 4.2 }, () => builder.star(0, 0, 0, 0.34, 0.15, 0.06)).sway(0);
  });
  site.block(x, z, 0.25);
}
