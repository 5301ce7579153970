import { Group, Mesh, Texture, type BufferGeometry, type Object3D, type Points, type RawShaderMaterial, type Vector3 } from "three";
import type { Preset } from "../core/quality";
import { placeOf } from "../core/places";
import { GroundPaint } from "../ground/ground-paint";
import { groundMeshes } from "../ground/ground-mesh";
import type { Circle } from "../ground/movement";
import { WATER_LEVEL_M } from "../ground/terrain";
import type { Materials } from "../light/materials";
import { SHADOW_LAYER } from "../light/shadow-pass";
import { limitTo } from "../build/sizes";
import { worldMaterial } from "../light/world-material";
import type { Blocker } from "../motion/camera-collision";
import { PALETTE } from "../palette";
import { balloon } from "./balloon";
import { cave } from "./cave";
import { fountainWater } from "./fountain-water";
import { glowPoints, type Glow } from "./glows";
import { hill } from "./hill";
import { horizon, type Horizon } from "./horizon";
import { lake, LAKE, LAKE_RADIUS_M } from "./lake";
import { library } from "./library";
import { market } from "./market";
import { meadow } from "./meadow";
import { plaza } from "./plaza";
import { poolMesh, type Pool } from "./pools";
import { portalLight, portals } from "./portals";
import { signMesh, type Sign } from "./signs";
import type { Mover, Site } from "./site";
import { sky } from "./sky";
import { groves } from "./trees";
import { village } from "./village";
import { waterDisc, waterMaterial } from "./water";

/** Portals that lead back to the plaza are seen from so many times farther than flowers. */
const WAY_BACK_FACTOR = 3;

/** The world without its people. It is built in steps, so that the first picture comes soon. */
export class Land {
  readonly group = new Group();
  /** Things beside the obstacles of `places.json` that avatars do not walk through. */
  readonly circles: Circle[] = [];
  readonly blockers: Blocker[] = [];
  /** Counts what was added, so that shadows are drawn anew. */
  revision = 0;

  private readonly materials: Materials;
  private readonly language: "ko" | "en";
  private readonly hideNames: boolean;
  private readonly glows: Glow[] = [];
  private readonly pools: Pool[] = [];
  private readonly signs: Sign[] = [];
  private readonly movers: { mover: Mover; mesh: Mesh }[] = [];
  private readonly ranked: { object: Object3D; rank: number }[] = [];
  private readonly solids: Mesh[] = [];
  private readonly details: { mesh: Mesh; factor: number }[] = [];
  private readonly eveningOnly: Object3D[] = [];
  private readonly steps: (() => void)[];
  private readonly paint: GroundPaint;
  private readonly solid: RawShaderMaterial;
  private readonly moving: RawShaderMaterial;
  private readonly far: Horizon;
  private readonly drops: Points;
  private preset: Preset;

  constructor(materials: Materials, preset: Preset, { language, hideNames = false }: { language: "ko" | "en"; hideNames?: boolean }) {
    this.materials = materials;
    this.preset = preset;
    this.language = language;
    this.hideNames = hideNames;
    this.solid = worldMaterial(materials, false);
    this.moving = worldMaterial(materials, true);
    this.paint = new GroundPaint(preset.groundTexels, preset.waterDetail);
    this.far = horizon(materials, preset.fineness);
    this.drops = fountainWater(materials, 1);
    this.group.add(sky(materials), this.far.group, ...groundMeshes(materials, this.paint.texture, preset.groundCellM));
    this.steps = this.plan();
  }

  /** Build the next part; says whether more is to be built. */
  buildNext(): boolean {
    this.steps.shift()?.();
    this.revision += 1;
    return this.steps.length > 0;
  }

  /** Move what moves by itself. */
  update(timeS: number, eye: Vector3): void {
    for (const { mover, mesh } of this.movers) mover.move(mesh, timeS);
    this.leaveOutSmall(eye);
    for (const { mesh, factor } of this.details) mesh.visible = isWithin(mesh.geometry, eye, this.preset.detailM * factor);
    for (const object of this.eveningOnly) object.visible = this.materials.world.uGlow.value > 0.02;
    this.far.update(timeS);
  }

  /** Show as much as a preset allows. */
  quality(preset: Preset): void {
    this.preset = preset;
    for (const { object, rank } of this.ranked) object.visible = rank === 0 || preset.plants > 0.5;
    const drops = this.drops.geometry.getAttribute("position").count;
    this.drops.geometry.setDrawRange(0, Math.round(drops * preset.particles));
  }

  /** Free all geometry and textures. */
  dispose(): void {
    this.group.traverse((object) => {
      if ("geometry" in object) (object.geometry as BufferGeometry).dispose();
      if ("material" in object) freeTextures(object.material as RawShaderMaterial);
    });
    this.paint.texture.dispose();
  }

  private plan(): (() => void)[] {
    const { fineness } = this.preset;
    const name = (id: string): string => placeOf(id)[this.language];
    const places: (() => Site)[] = [
      () => library(fineness, name("library")), () => market(fineness, name("market")), () => lake(fineness), () => hill(fineness),
      () => village(fineness), () => cave(fineness), () => balloon(fineness),
    ];
    return [
      () => {
        this.add(plaza(fineness, this.language));
        const { atPlaza, waysBack } = portals(fineness, this.language);
        this.add(atPlaza);
        for (const site of waysBack) this.showWithin(this.add(site), WAY_BACK_FACTOR);
        this.group.add(portalLight(this.materials), this.drops);
        this.addWater();
      },
      ...places.map((place) => () => this.add(place())),
      () => this.addPlants(),
      () => this.finish(),
    ];
  }

  private add(site: Site): Mesh {
    const mesh = this.addMesh(site.builder.geometry());
    mesh.layers.enable(SHADOW_LAYER);
    for (const builder of [site.detail, ...site.strewn]) if (!builder.isEmpty) this.showWithin(this.addMesh(builder.geometry()));
    this.glows.push(...site.glows);
    this.pools.push(...site.pools);
    this.signs.push(...site.signs);
    this.circles.push(...site.circles);
    this.blockers.push(...site.blockers);
    this.paint.shades(site.shades);
    for (const mover of site.movers) this.addMover(mover);
    return mesh;
  }

  /** Leave out shapes that are too small to see from where the eye is, and meshes with nothing else. */
  private leaveOutSmall(eye: Vector3): void {
    const leastPerM = this.preset.leastPx / this.materials.world.uPixels.value;
    for (const mesh of this.solids) {
      const distanceM = Math.max(0, mesh.geometry.boundingSphere?.distanceToPoint(eye) ?? 0);
      limitTo(mesh.geometry, distanceM * leastPerM);
    }
    for (const { mesh } of this.movers) limitTo(mesh.geometry, mesh.position.distanceTo(eye) * leastPerM);
  }

  /** Show a mesh only from near; `factor` makes it show from farther away than small things do. */
  private showWithin(mesh: Mesh, factor = 1): void {
    this.details.push({ mesh, factor });
  }

  private addMesh(geometry: BufferGeometry): Mesh {
    const mesh = new Mesh(geometry, this.solid);
    mesh.matrixAutoUpdate = false;
    this.solids.push(mesh);
    this.group.add(mesh);
    return mesh;
  }

  private addMover(mover: Mover): void {
    const mesh = new Mesh(mover.builder.geometry(), this.moving);
    mesh.position.set(mover.x, mover.y, mover.z);
    mesh.rotation.y = mover.turn ?? 0;
    this.movers.push({ mover, mesh });
    this.group.add(mesh);
  }

  private addWater(): void {
    const material = waterMaterial(this.materials, this.preset.waterDetail);
    this.group.add(
      waterDisc(material, LAKE.x, WATER_LEVEL_M, LAKE.z, LAKE_RADIUS_M), waterDisc(material, 0, 0.62, 0, 3.5),
      waterDisc(material, 0, 1.9, 0, 1.66), waterDisc(material, 0, 2.78, 0, 0.86),
    );
  }

  private addPlants(): void {
    for (const grove of groves(this.preset.fineness)) this.ranked.push({ object: this.add(grove.site), rank: grove.rank });
    for (const builder of meadow(this.preset.plants)) this.showWithin(this.addMesh(builder.geometry()));
    this.quality(this.preset);
  }

  /** What is drawn at once for the whole world comes last: signs, soft lights, and lanterns in the sky. */
  private finish(): void {
    this.eveningOnly.push(poolMesh(this.materials, this.pools, this.preset.fineness), glowPoints(this.materials, [...this.glows, ...skyLanterns()]));
    this.group.add(...(this.hideNames ? [] : [signMesh(this.materials, this.signs)]), ...this.eveningOnly);
    this.paint.flush();
  }
}

function freeTextures({ uniforms }: RawShaderMaterial): void {
  for (const { value } of Object.values(uniforms)) if (value instanceof Texture) value.dispose();
}

/** Whether any of a geometry is within a distance. */
function isWithin({ boundingSphere }: BufferGeometry, eye: Vector3, distanceM: number): boolean {
  return boundingSphere !== null && boundingSphere.distanceToPoint(eye) < distanceM;
}

/** Lanterns that rise over the market and the plaza in the evening. */
function skyLanterns(): Glow[] {
  return Array.from({ length: 26 }, (_, index) => {
    const angle = index * 2.399;
    const distance = 12 + ((index * 0.618) % 1) * 34;
    return {
      x: 34 + Math.sin(angle) * distance, y: 6, z: -6 + Math.cos(angle) * distance,
      color: index % 3 ? PALETTE.lantern : PALETTE.lanternRed, sizeM: 2, wanderM: 1.8, riseM: 0.75,
    };
  });
}
