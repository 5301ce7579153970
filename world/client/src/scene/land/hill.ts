import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";
import { heightAt } from "../ground/terrain";
import { pick } from "../core/numbers";
import { roundTree } from "./trees";
import { Site } from "./site";

const TOP = { x: 0, z: -60 } as const;
const BRIGHT = [0xff5f4a, 0xffd34d, 0x3fb4ff, 0x7ee05a, 0xff8fc4, 0xa98bff] as const;

/** A real hill: pinwheels, kites in the wind, a picnic, and a bench that looks at the sunset. */
export function hill(fineness: number): Site {
  const site = new Site(404, fineness);
  for (const [x, z, size] of [[-5.5, -57, 1.5], [-2.8, -54.6, 1.1], [7.4, -52.5, 1.3], [8.8, -51, 1.2], [-9.5, -62, 1.3], [-11, -50, 1.1]] as const) {
    pinwheel(site, x, z, size);
  }
  windmill(site, 5.6, -59.5);
  kite(site, { x: -1.6, z: -57 }, { x: -6.5, y: 15, z: -57 }, 0);
  kite(site, { x: 0.6, z: -56 }, { x: -1.2, y: 15.6, z: -58 }, 1);
  kite(site, { x: -3.6, z: -56 }, { x: -12, y: 13, z: -56 }, 2);
  roundTree(site, -4.6, -65.2, 1.5, PALETTE.leaf, PALETTE.meadow);
  site.bench(-6.9, -60.4, -Math.PI / 2);
  picnic(site, 3.2, -57.8);
  fence(site);
  rocks(site);
  site.lamp(7.2, -43);
  site.lamp(5.6, -53.4);
  for (let count = 0; count < 26; count += 1) {
    const angle = count * 2.399;
    const distance = 5 + count * 0.55;
    site.flowers(TOP.x + Math.sin(angle) * distance, TOP.z + Math.cos(angle) * distance, [BRIGHT[1], PALETTE.cream, BRIGHT[4], BRIGHT[5]], 5, 0.9);
  }
  return site;
}

/** A white windmill with cloth on its sails, on the top of the hill. */
function windmill(site: Site, x: number, z: number): void {
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.stoneDark, PALETTE.stone).tube(0, -0.4, 0, 2.1, 1.9, 0.9, 8);
    builder.paint(PALETTE.wallWarm, PALETTE.white).tube(0, 0.4, 0, 1.75, 1.15, 5.2, 8);
    builder.paint(PALETTE.roofRed).tube(0, 5.6, 0, 1.45, 0, 1.7, 8);
    builder.paint(PALETTE.wood).box(0, 0.4, 1.62, 0.9, 1.7, 0.2).box(0, 3.3, 1.28, 0.62, 0.8, 0.16);
    builder.shine(PALETTE.window, 1).box(0, 3.4, 1.32, 0.46, 0.6, 0.16);
    builder.paint(PALETTE.woodDark).within({ y: 5.2, z: 1, tilt: Math.PI / 2 }, () => builder.tube(0, 0, 0, 0.14, 0.14, 0.9, 6));
  });
  const sails = new MeshBuilder(17, site.fineness);
  for (let sail = 0; sail < 4; sail += 1) {
    sails.within({ roll: (sail / 4) * Math.PI * 2 }, () => {
      sails.paint(PALETTE.woodDark).box(0, 0, 0, 0.12, 4.3, 0.1);
      sails.open(0.7).shine(sail % 2 ? PALETTE.cream : PALETTE.lanternRed, 0.2).box(0.5, 0.9, 0, 0.85, 3.3, 0.05).open(0);
    });
  }
  sails.paint(PALETTE.gold).ball(0, 0, 0.08, 0.28, 0.28, 0.2, { rows: 4, sides: 6 });
  site.movers.push({
    builder: sails, x, y: heightAt(x, z) + 5.2, z: z + 1.95,
    move: (mesh, timeS) => {
      mesh.rotation.z = -timeS * 0.7;
    },
  });
  site.block(x, z, 2);
  site.blockers.push({ x, z, radius_m: 1.6, topM: heightAt(x, z) + 5.6 });
  site.shade(x, z, 3.2, 0.4);
}

function pinwheel(site: Site, x: number, z: number, size: number): void {
  const high = 1.9 * size;
  site.stand(x, z, 0, (builder) => {
    builder.paint(PALETTE.woodDark, PALETTE.cream).tube(0, 0, 0, 0.07 * size, 0.05 * size, high + 0.1, 5);
  });
  site.block(x, z, 0.15);
  const rotor = new MeshBuilder(7, site.fineness).open(1);
  for (let blade = 0; blade < 6; blade += 1) {
    rotor.shine(pick(BRIGHT, blade), 0.25).within({ roll: (blade / 6) * Math.PI * 2, scale: size }, () => {
      const [a, b, c, d] = [[0, 0, 0.03], [0.36, 0.5, 0.16], [0.12, 0.98, 0], [-0.05, 0.55, -0.02]].map(([px = 0, py = 0, pz = 0]) => ({ x: px, y: py, z: pz, up: 0 }));
      if (a && b && c && d) rotor.face([a, b, c, d]);
    });
  }
  rotor.paint(PALETTE.gold).ball(0, 0, 0.06, 0.11 * size, 0.11 * size, 0.08 * size, { rows: 4, sides: 6 });
  const speed = 2.2 / size;
  site.movers.push({
    builder: rotor, x, y: heightAt(x, z) + high, z: z + 0.12, turn: Math.sin(x) * 0.5,
    move: (mesh, timeS) => {
      mesh.rotation.z = -timeS * speed - Math.sin(timeS * 0.6 + x) * 0.8;
    },
  });
}

/** A kite on a string; string and kite move as one. */
function kite(site: Site, from: { x: number; z: number }, to: { x: number; y: number; z: number }, kind: number): void {
  const ground = heightAt(from.x, from.z);
  site.stand(from.x, from.z, 0, (builder) => builder.paint(PALETTE.wood).tube(0, 0, 0, 0.07, 0.05, 0.6, 5));
  const builder = new MeshBuilder(kind + 30, site.fineness);
  const [x, y, z] = [to.x - from.x, to.y - ground - 0.6, to.z - from.z];
  let before: [number, number, number] = [0, 0, 0];
  for (let step = 1; step <= 8; step += 1) {
    const share = step / 8;
    const next: [number, number, number] = [x * share, y * share ** 1.25, z * share];
    builder.paint(PALETTE.cream).rod(before, next, 0.014, 3);
    before = next;
  }
  builder.open(1).within({ x, y, z, tilt: -0.45, turn: 0.25 - kind * 0.2, scale: 1.25 }, () => kiteBody(builder, kind));
  site.movers.push({
    builder, x: from.x, y: ground + 0.6, z: from.z,
    move: (mesh, timeS) => {
      mesh.rotation.y = Math.sin(timeS * 0.5 + kind * 2) * 0.14;
      mesh.rotation.x = Math.sin(timeS * 0.73 + kind) * 0.05;
    },
  });
}

function kiteBody(builder: MeshBuilder, kind: number): void {
  // What moves is drawn from both sides; a second face in the same place would flicker.
  const sheet = (color: number, points: readonly (readonly [number, number])[], z = 0): void => {
    builder.shine(color, 0.4).face(points.map(([px, py]) => ({ x: px, y: py, z, up: 0 })));
  };
  if (kind === 0) {
    // A shield kite, as children in Korea fly it: white paper, a red half moon and a round hole.
    sheet(PALETTE.cream, [[-0.8, -1.1], [0.8, -1.1], [0.8, 1.1], [-0.8, 1.1]]);
    sheet(BRIGHT[0], [[-0.8, 0.5], [0.8, 0.5], [0.8, 1.1], [-0.8, 1.1]], 0.02);
    sheet(BRIGHT[2], [[-0.8, -1.1], [0.8, -1.1], [0.8, -0.6], [-0.8, -0.6]], 0.02);
    builder.shine(PALETTE.night, 0.2).within({ z: 0.02 }, () => builder.star(0, 0, 0, 0.36, 0.34, 0.01, 8));
  } else {
    sheet(pick(BRIGHT, kind), [[0, -1.4], [0.85, 0.3], [0, 1]]);
    sheet(pick(BRIGHT, kind + 3), [[0, 1], [-0.85, 0.3], [0, -1.4]]);
  }
  for (let bow = 0; bow < 5; bow += 1) {
    const y = -1.45 - bow * 0.42;
    const x = Math.sin(bow * 1.2) * 0.2;
    sheet(pick(BRIGHT, bow + kind), [[x - 0.2, y + 0.1], [x, y], [x + 0.2, y + 0.1], [x + 0.2, y - 0.12], [x, y], [x - 0.2, y - 0.12]]);
  }
}

function picnic(site: Site, x: number, z: number): void {
  site.strew(x, z, 0.5, (builder) => {
    builder.paint(PALETTE.lanternRed).box(0, 0.02, 0, 2.1, 0.03, 1.6);
    for (const across of [-0.7, 0, 0.7]) builder.paint(PALETTE.cream).box(across, 0.035, 0, 0.25, 0.025, 1.6);
    builder.paint(PALETTE.woodDark, PALETTE.woodLight).box(0.5, 0.05, -0.3, 0.55, 0.32, 0.4);
    builder.paint(PALETTE.cream).tube(-0.4, 0.06, 0.2, 0.2, 0.24, 0.05, 8).tube(0.15, 0.06, 0.4, 0.16, 0.2, 0.05, 8);
    builder.paint(PALETTE.ink).tube(-0.4, 0.11, 0.2, 0.07, 0.07, 0.09, 6).tube(-0.3, 0.11, 0.28, 0.07, 0.07, 0.09, 6);
  }, 0.06);
}

/** A low fence beside the way up. */
function fence(site: Site): void {
  const posts: [number, number][] = [[-1.4, -39], [-0.6, -42.3], [1.8, -45.4], [2.4, -48.5], [0.8, -51]];
  posts.forEach(([x, z], index) => {
    site.stand(x - 1.6, z, 0, (builder) => builder.paint(PALETTE.woodDark, PALETTE.woodLight).tube(0, 0, 0, 0.09, 0.08, 0.9, 5));
    const next = posts[index + 1];
    if (!next) return;
    for (const up of [0.42, 0.74]) {
      site.builder.paint(PALETTE.woodLight).rod(
        [x - 1.6, heightAt(x - 1.6, z) + up, z], [next[0] - 1.6, heightAt(next[0] - 1.6, next[1]) + up, next[1]], 0.045,
      );
    }
  });
}

function rocks(site: Site): void {
  for (const [x, z, size] of [[9.6, -55, 0.8], [-10.6, -55.5, 0.7], [-13, -65, 1], [12.6, -66, 1.1], [7, -46.5, 0.6], [-6.8, -45.2, 0.6]] as const) {
    site.stand(x, z, x, (builder) => {
      builder.paint(PALETTE.rockDark, PALETTE.stone).ball(0, size * 0.3, 0, size, size * 0.75, size * 0.85, { rows: 4, sides: 7, rough: 0.16 });
    });
    site.block(x, z, size * 0.8);
    site.shade(x, z, size * 1.7, 0.3);
  }
}
