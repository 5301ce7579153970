import { Group, Mesh, type Object3D, type RawShaderMaterial } from "three";
import type { Stage } from "../api";
import { MeshBuilder } from "../build/mesh-builder";
import { PALETTE } from "../palette";

/** What floats about a bot to show how it is. */
export interface StageProp {
  object: Object3D;
  /** Move it; `calm` asks for less motion. */
  update(timeS: number, calm: boolean): void;
}

/** Build the things that belong to a stage, or null if there are none. */
export function stageProp(stage: Stage, material: RawShaderMaterial): StageProp | null {
  return PROPS[stage]?.(material) ?? null;
}

const PROPS: Readonly<Partial<Record<Stage, (material: RawShaderMaterial) => StageProp>>> = {
  asleep: sleep,
  training: studies,
  candidate: gift,
  new_version: sparkles,
  muted: hush,
  degraded: cloud,
};

function meshOf(material: RawShaderMaterial, build: (builder: MeshBuilder) => void): Mesh {
  const builder = new MeshBuilder(2).uneven(0.01);
  build(builder);
  return new Mesh(builder.geometry(), material);
}

function sleep(material: RawShaderMaterial): StageProp {
  const object = meshOf(material, (builder) => {
    [0.1, 0.15, 0.21].forEach((size, index) => {
      builder.shine(PALETTE.lanternBlue, 0.9).within({ x: 0.35 + index * 0.26, y: 1.6 + index * 0.32, z: 0.05, roll: -0.15 }, () => {
        builder.box(0, size * 0.8, 0, size * 2, size * 0.4, 0.06).box(0, -size, 0, size * 2, size * 0.4, 0.06);
        builder.within({ roll: -0.72 }, () => builder.box(0, -size, 0, size * 0.4, size * 2.1, 0.06));
      });
    });
  });
  return { object, update: (timeS) => void object.position.set(0, Math.sin(timeS * 1.3) * 0.06, 0) };
}

/** An open book that shines, and Korean letters that circle round the head. */
function studies(material: RawShaderMaterial): StageProp {
  const book = meshOf(material, (builder) => {
    for (const side of [-1, 1]) {
      builder.within({ roll: side * 0.22, tilt: 0.75 }, () => {
        builder.paint(PALETTE.roofBlue).box(side * 0.2, -0.03, 0, 0.4, 0.03, 0.52);
        builder.shine(PALETTE.star, 1, PALETTE.cream).box(side * 0.19, 0, 0, 0.37, 0.04, 0.47);
        builder.paint(PALETTE.goldDeep);
        for (const line of [-0.14, -0.04, 0.06, 0.16]) builder.box(side * 0.19, 0.042, line, 0.26, 0.006, 0.03);
      });
    }
  });
  const letters = meshOf(material, (builder) => {
    LETTERS.forEach((strokes, index) => {
      const angle = (index / LETTERS.length) * Math.PI * 2;
      builder.within({ x: Math.sin(angle) * 0.85, y: Math.sin(index * 2) * 0.16, z: Math.cos(angle) * 0.85, turn: angle }, () => {
        builder.shine([PALETTE.gold, PALETTE.crystalBlue, PALETTE.lanternPink][index % 3] ?? PALETTE.gold, 1);
        for (const [x, y, width, height] of strokes) builder.box(x * 0.13, y * 0.13, 0, width * 0.13, height * 0.13, 0.05);
      });
    });
  });
  const object = new Group().add(book, letters);
  book.position.set(0, 0.98, 0.62);
  letters.position.y = 1.45;
  return {
    object,
    update: (timeS, calm) => {
      book.position.y = 0.92 + Math.sin(timeS * 1.6) * 0.05;
      letters.rotation.y = timeS * (calm ? 0.25 : 0.9);
    },
  };
}

/** Strokes of ㄱ, ㄴ, ㄷ, ㅁ, ㅂ and ㅏ: x, bottom, width and height. */
const LETTERS: readonly (readonly (readonly [number, number, number, number])[])[] = [
  [[0, 0.8, 2, 0.4], [0.8, -1, 0.4, 2.2]],
  [[-0.8, -1, 0.4, 2.2], [0, -1, 2, 0.4]],
  [[0, 0.8, 2, 0.4], [-0.8, -1, 0.4, 2], [0, -1, 2, 0.4]],
  [[0, 0.8, 2, 0.4], [-0.8, -1, 0.4, 2], [0.8, -1, 0.4, 2], [0, -1, 2, 0.4]],
  [[-0.8, -1, 0.4, 2.2], [0.8, -1, 0.4, 2.2], [0, -0.1, 1.6, 0.4], [0, -1, 2, 0.4]],
  [[-0.3, -1.1, 0.4, 2.4], [0.3, -0.1, 0.9, 0.4]],
];

/** A present that waits over the head. */
function gift(material: RawShaderMaterial): StageProp {
  const object = meshOf(material, (builder) => {
    builder.shine(PALETTE.crystal, 0.8).box(0, 0, 0, 0.4, 0.34, 0.4).shine(PALETTE.lanternPink, 0.9).box(0, 0.3, 0, 0.46, 0.1, 0.46);
    builder.shine(PALETTE.star, 1).box(0, 0, 0, 0.1, 0.41, 0.47).box(0, 0, 0, 0.47, 0.41, 0.1);
    for (const side of [-1, 1]) builder.within({ x: side * 0.1, y: 0.47, roll: side * 0.6 }, () => builder.ball(0, 0, 0, 0.12, 0.07, 0.06, { rows: 4, sides: 7 }));
    for (let star = 0; star < 6; star += 1) {
      const angle = (star / 6) * Math.PI * 2;
      builder.within({ x: Math.sin(angle) * 0.5, y: 0.2 + Math.sin(star * 2.2) * 0.22, z: Math.cos(angle) * 0.5, turn: angle }, () => builder.star(0, 0, 0, 0.075, 0.03, 0.03, 4));
    }
  });
  return {
    object,
    update: (timeS, calm) => {
      object.position.y = 2.12 + Math.sin(timeS * 1.8) * 0.06;
      object.rotation.y = timeS * (calm ? 0.2 : 0.8);
    },
  };
}

/** Stars that fly out again and again. */
function sparkles(material: RawShaderMaterial): StageProp {
  const ring = (seed: number): Mesh => meshOf(material, (builder) => {
    for (let star = 0; star < 12; star += 1) {
      const angle = star * 2.399 + seed;
      const up = ((star * 0.618) % 1) * 1.7 - 0.5;
      builder.shine([PALETTE.gold, PALETTE.star, PALETTE.crystalBlue, PALETTE.lanternPink][star % 4] ?? PALETTE.gold, 1);
      builder.within({ x: Math.sin(angle), y: up, z: Math.cos(angle), turn: angle }, () => builder.star(0, 0, 0, 0.1 + (star % 3) * 0.04, 0.045, 0.03, star % 2 ? 4 : 5));
    }
  });
  const rings = [ring(0), ring(1.3)];
  const object = new Group().add(...rings);
  return {
    object,
    update: (timeS, calm) => rings.forEach((mesh, index) => {
      const age = calm ? 0.6 : (timeS * 0.45 + index * 0.5) % 1;
      mesh.scale.setScalar(0.35 + age * 0.95).multiplyScalar(age > 0.8 ? (1 - age) * 5 : 1);
      mesh.position.y = 1 + age * 0.5;
      mesh.rotation.y = timeS * (calm ? 0.1 : 0.7) * (index ? -1 : 1);
    }),
  };
}

/** A sign with a crossed-out speech bubble. */
function hush(material: RawShaderMaterial): StageProp {
  const object = meshOf(material, (builder) => {
    builder.within({ y: 2.3 }, () => {
      builder.shine(PALETTE.cream, 0.6).within({ tilt: Math.PI / 2 }, () => builder.tube(0, -0.03, 0, 0.34, 0.34, 0.06, 14));
      builder.shine(PALETTE.ink, 0.4);
      for (const z of [-0.045, 0.045]) {
        builder.within({ z }, () => {
          builder.box(0, -0.08, 0, 0.34, 0.22, 0.02);
          builder.within({ x: -0.07, y: -0.1, roll: 0.5 }, () => builder.box(0, -0.06, 0, 0.09, 0.12, 0.02));
        });
      }
      builder.shine(PALETTE.lanternRed, 0.8).within({ roll: 0.75 }, () => builder.box(0, -0.34, 0, 0.085, 0.68, 0.14));
      for (let step = 0; step < 14; step += 1) {
        builder.within({ roll: (step / 14) * Math.PI * 2 }, () => builder.box(0, 0.29, 0, 0.17, 0.08, 0.12));
      }
    });
  });
  return {
    object,
    update: (timeS) => {
      object.rotation.y = Math.sin(timeS * 0.8) * 0.25;
    },
  };
}

/** A grey cloud with rain, and a plaster on the head. */
function cloud(material: RawShaderMaterial): StageProp {
  const puffs = meshOf(material, (builder) => {
    builder.paint(0x8d93a8, 0xb9bfd0);
    for (const [x, y, size] of [[-0.28, 0, 0.2], [0, 0.07, 0.29], [0.3, 0, 0.21]] as const) builder.ball(x, 2.3 + y, 0, size, size * 0.78, size * 0.85, { rows: 5, sides: 8 });
    builder.paint(0xf3d2a8).within({ x: 0.2, y: 1.47, z: 0.2, roll: -0.6, tilt: -0.7 }, () => {
      builder.box(0, 0, 0, 0.24, 0.09, 0.05).paint(0xe6b98a).box(0, 0.01, 0.01, 0.08, 0.07, 0.05);
    });
  });
  const rain = meshOf(material, (builder) => {
    builder.shine(PALETTE.lanternBlue, 0.5);
    for (let drop = 0; drop < 8; drop += 1) builder.tube(Math.sin(drop * 2.4) * 0.32, (drop % 4) * 0.11, Math.cos(drop * 2.4) * 0.16, 0.022, 0, 0.1, 4);
  });
  const object = new Group().add(puffs, rain);
  return {
    object,
    update: (timeS, calm) => {
      rain.position.y = 1.78 - (calm ? 0 : ((timeS * 0.9) % 1) * 0.22);
    },
  };
}
