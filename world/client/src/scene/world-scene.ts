import { ColorManagement, LinearSRGBColorSpace, Raycaster, Scene, Vector2, Vector3, WebGLRenderer, type Group } from "three";
import type {
  BotView, EmoteKind, Look, Memory, PlayerView, Position, Quality, SceneOptions, SceneStats, WorldScene,
} from "./api";
import { Troupe } from "./bots/troupe";
import { FrameMeter } from "./core/frame-meter";
import { arrivalAngle, PLACES } from "./core/places";
import { PRESETS, type Preset } from "./core/quality";
import { Surroundings } from "./core/surroundings";
import { Keyboard } from "./input/keyboard";
import { Pointers } from "./input/pointer";
import { TouchControls } from "./input/touch";
import { Labels } from "./labels/labels";
import { WORDS } from "./labels/texts";
import { Land } from "./land/land";
import { daylightAt } from "./light/daylight";
import { Materials } from "./light/materials";
import { ShadowPass } from "./light/shadow-pass";
import { applyDaylight, worldUniforms } from "./light/uniforms";
import { FollowCamera } from "./motion/follow-camera";
import { Walker } from "./motion/walker";
import { BlobShadows } from "./people/blob-shadows";
import { Crowd } from "./people/crowd";
import { Preview } from "./people/preview";

const MOST_FRAME_S = 0.25;

/** The whole 3D world: it wires the parts together and draws them in every frame. */
export class ByeolmaruScene implements WorldScene {
  private readonly options: SceneOptions;
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly uniforms = worldUniforms();
  private readonly shadowPass = new ShadowPass();
  private readonly materials = new Materials(this.uniforms, this.shadowPass.uniforms);
  private readonly view = new FollowCamera();
  private readonly land: Land;
  private readonly labels: Labels;
  private readonly crowd: Crowd;
  private readonly troupe: Troupe;
  private readonly shadows: BlobShadows;
  private surroundings: Surroundings;
  private readonly preview3d: Preview;
  private readonly circles: { x: number; z: number; radius_m: number }[] = [...PLACES.obstacles];
  private readonly walker = new Walker({ radius_m: PLACES.radius_m, obstacles: this.circles });
  private readonly keyboard: Keyboard;
  private readonly touch: TouchControls;
  private readonly pointers: Pointers;
  private readonly meter = new FrameMeter();
  private readonly stop = new AbortController();
  private preset: Preset;
  private isBuilding = true;
  private isLost = false;
  private frameRequest = 0;
  private lastS = 0;
  private labelsAtS = 0;
  private drawn = { calls: 0, triangles: 0 };
  private width = 1;
  private height = 1;

  constructor(options: SceneOptions) {
    // Colours of the palette are meant as they look on the screen, so nothing is to be converted.
    ColorManagement.enabled = false;
    this.options = options;
    this.preset = PRESETS[options.quality];
    this.renderer = new WebGLRenderer({ canvas: options.canvas, antialias: this.preset.antialias, powerPreference: "high-performance" });
    this.renderer.outputColorSpace = LinearSRGBColorSpace;
    this.renderer.info.autoReset = false;
    this.land = new Land(this.materials, this.preset, options);
    this.labels = new Labels(options.labels);
    this.shadows = new BlobShadows(this.materials);
    const figures = { language: options.language, calm: options.reducedMotion, fineness: this.preset.fineness };
    this.crowd = new Crowd(this.scene, this.materials, this.labels, figures);
    this.troupe = new Troupe(this.scene, this.materials, this.labels, figures);
    this.surroundings = new Surroundings(options.events);
    this.preview3d = new Preview(this.renderer);
    this.scene.add(this.land.group, this.shadows.mesh);
    this.keyboard = new Keyboard({ jump: () => this.jump(), talk: () => this.talk() });
    this.touch = new TouchControls(options.labels.parentElement ?? document.body, WORDS.jump[options.language], () => this.jump());
    this.pointers = new Pointers(options.canvas, {
      turned: (dx, dy) => this.view.turn(dx, dy),
      zoomed: (factor) => this.view.zoom(factor),
      tapped: (x, y) => this.choose(x, y),
    });
    this.listenToContext();
    this.timeOfDay(0.6);
    this.quality(options.quality);
  }

  /** Build the plaza and draw the first picture; the rest follows frame by frame. */
  start(): void {
    this.buildNext();
    this.lastS = performance.now() / 1000;
    this.frame();
  }

  enter(me: PlayerView): void {
    if (this.crowd.me) this.crowd.remove(this.crowd.me.seat);
    this.surroundings = new Surroundings(this.options.events);
    const avatar = this.crowd.add(me, true);
    this.walker.put(me.x, me.z, me.yaw);
    this.walker.angleRad = arrivalAngle(me.x, me.z) ?? this.walker.angleRad;
    avatar.put(this.walker.x, this.walker.z, 0, this.walker.angleRad);
    this.view.snap(me.x, me.z, this.walker.angleRad);
  }

  addPlayer(player: PlayerView): void {
    if (player.seat !== this.crowd.me?.seat) this.crowd.add(player, false);
  }

  removePlayer(seat: number): void {
    this.crowd.remove(seat);
  }

  clearPlayers(): void {
    this.crowd.clearOthers();
  }

  dress(seat: number, look: Look): void {
    this.crowd.dress(seat, look);
  }

  positions(positions: Position[]): void {
    this.crowd.follow(positions, performance.now() / 1000);
  }

  teleport(x: number, z: number): void {
    const isFar = Math.hypot(x - this.walker.x, z - this.walker.z) > 6;
    const angleRad = arrivalAngle(x, z);
    this.walker.put(x, z);
    if (angleRad !== null) this.walker.angleRad = angleRad;
    if (isFar) this.view.snap(x, z, angleRad ?? this.view.angleRad);
  }

  emote(seat: number, kind: EmoteKind): void {
    this.crowd.emote(seat, kind, performance.now() / 1000);
  }

  say(seat: number, text: string): void {
    this.crowd.say(seat, text, performance.now() / 1000);
  }

  clearBubble(seat: number): void {
    this.crowd.clearBubble(seat);
  }

  botSay(bot: string, text: string, to: string): void {
    this.troupe.say(bot, text, to, performance.now() / 1000);
  }

  botThinking(bot: string, seat: number): void {
    this.troupe.thinking(bot, seat);
  }

  botAnswered(bot: string, seat: number): void {
    this.troupe.answered(bot, seat);
  }

  botStage(view: BotView): void {
    this.troupe.stage(view, performance.now() / 1000);
  }

  preview(canvas: HTMLCanvasElement, look: Look): void {
    if (!this.isLost) this.preview3d.draw(canvas, look);
  }

  timeOfDay(evening: number): void {
    applyDaylight(this.uniforms, daylightAt(evening));
  }

  quality(quality: Quality): void {
    this.preset = { ...PRESETS[quality], ...(this.options.reducedMotion ? { particles: 0 } : {}) };
    this.materials.shadows(this.preset.shadows);
    this.materials.wind(this.preset.wind && !this.options.reducedMotion);
    this.uniforms.uGlowPx.value = this.preset.glowPx;
    this.land.quality(this.preset);
    this.width = this.height = 0;
  }

  inputEnabled(enabled: boolean): void {
    this.keyboard.isEnabled = enabled;
    if (!enabled) this.keyboard.release();
    this.touch.enabled(enabled);
  }

  focus(): void {
    this.options.canvas.focus({ preventScroll: true });
  }

  stats(): SceneStats {
    const { me } = this.crowd;
    return {
      fps: Math.round(this.meter.fps * 10) / 10,
      drawCalls: this.drawn.calls,
      triangles: this.drawn.triangles,
      players: this.crowd.size,
      isComplete: !this.isBuilding,
      memory: { geometries: this.renderer.info.memory.geometries, textures: this.renderer.info.memory.textures },
      me: { x: this.walker.x, z: this.walker.z, yaw: me?.angleRad ?? 0, jumpM: this.walker.jumpM },
      positions: this.crowd.positions,
      camera: this.view.stats,
    };
  }

  look(angleRad: number, pitchRad: number, distanceM: number): void {
    this.view.look(angleRad, pitchRad, distanceM);
  }

  dispose(): Memory {
    cancelAnimationFrame(this.frameRequest);
    this.stop.abort();
    for (const part of [this.keyboard, this.touch, this.pointers, this.crowd, this.troupe, this.labels, this.land, this.shadows, this.shadowPass, this.preview3d, this.materials]) {
      part.dispose();
    }
    const { memory } = this.renderer.info;
    const left = { geometries: memory.geometries, textures: memory.textures };
    this.renderer.dispose();
    // The context would live on with its canvas, and browsers keep only a few.
    this.renderer.forceContextLoss();
    return left;
  }

  private readonly frame = (): void => {
    this.frameRequest = requestAnimationFrame(this.frame);
    if (this.isLost) return;
    const nowS = performance.now() / 1000;
    const seconds = Math.min(nowS - this.lastS, MOST_FRAME_S);
    this.lastS = nowS;
    this.meter.frame(nowS);
    if (this.isBuilding) this.buildNext();
    this.resize();
    this.move(nowS, seconds);
    this.draw();
    this.placeLabels(nowS);
  };

  private placeLabels(nowS: number): void {
    if (nowS - this.labelsAtS < 1 / this.preset.labelHz - 0.004) return;
    this.labelsAtS = nowS;
    this.labels.update(this.view.camera, this.width, this.height, nowS);
  }

  private buildNext(): void {
    this.isBuilding = this.land.buildNext();
    this.circles.splice(PLACES.obstacles.length, Infinity, ...this.land.circles);
  }

  private move(nowS: number, seconds: number): void {
    const { me } = this.crowd;
    const stirS = this.options.reducedMotion ? 0 : nowS;
    this.uniforms.uTimeS.value = stirS % 3600;
    this.shadows.clear();
    if (me) this.moveMe(seconds);
    this.crowd.update(nowS, seconds, this.view.camera, this.shadows, this.preset.leastPx / this.uniforms.uPixels.value);
    this.troupe.update(nowS, seconds, this.crowd, this.view.camera, this.shadows);
    this.shadows.flush();
    this.land.update(stirS, this.view.camera.position);
    if (me) this.followMe(seconds);
    else this.view.panorama(this.options.reducedMotion ? 0 : nowS);
  }

  private moveMe(seconds: number): void {
    const { me } = this.crowd;
    if (!me) return;
    const keys = this.keyboard.direction;
    this.walker.update({
      right: keys.right + this.touch.direction.right, forward: keys.forward + this.touch.direction.forward,
      walks: this.keyboard.walks, cameraRad: this.view.angleRad,
    }, seconds);
    me.put(this.walker.x, this.walker.z, this.walker.jumpM, this.walker.angleRad);
    const changed = this.walker.changed(me.seat);
    if (changed) this.options.events.moved(changed);
    this.surroundings.update(this.walker);
  }

  private followMe(seconds: number): void {
    const { me } = this.crowd;
    if (!me) return;
    const { x, y, z } = me.figure.group.position;
    const at = { x, y: y - me.jumpM * (this.options.reducedMotion ? 1 : 0.6), z, angleRad: this.walker.angleRad, isRunning: this.walker.gait === 2 };
    this.view.follow(at, this.land.blockers, seconds, !this.options.reducedMotion);
  }

  private draw(): void {
    const { renderer, scene, view } = this;
    if (this.preset.shadows) {
      const center = this.crowd.me ? new Vector3(this.walker.x, 0, this.walker.z) : new Vector3();
      this.shadowPass.render(renderer, scene, center, this.uniforms.uSunDirection.value, this.land.revision);
    }
    renderer.info.reset();
    renderer.render(scene, view.camera);
    this.drawn = { calls: renderer.info.render.calls, triangles: renderer.info.render.triangles };
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.options.canvas;
    if (clientWidth === this.width && clientHeight === this.height) return;
    [this.width, this.height] = [clientWidth, clientHeight];
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, this.preset.pixelRatio));
    this.renderer.setSize(clientWidth, clientHeight, false);
    const { camera } = this.view;
    camera.aspect = clientWidth / Math.max(1, clientHeight);
    camera.fov = camera.aspect < 0.8 ? 70 : 58;
    camera.updateProjectionMatrix();
    const focal = this.renderer.domElement.height / (2 * Math.tan((camera.fov * Math.PI) / 360));
    this.uniforms.uPixels.value = focal;
  }

  private jump(): void {
    if (this.crowd.me && this.keyboard.isEnabled) this.walker.jump();
  }

  private talk(): void {
    const { nearBot } = this.surroundings;
    if (nearBot) this.options.events.botChosen(nearBot);
  }

  private choose(x: number, y: number): void {
    const caster = new Raycaster();
    caster.setFromCamera(new Vector2((x / this.width) * 2 - 1, 1 - (y / this.height) * 2), this.view.camera);
    const hit = nearestHit(caster, [...this.troupe.targets, ...this.crowd.targets.filter((group) => group !== this.crowd.me?.figure.group)]);
    if (!hit) return;
    const { bot, seat } = hit.children[0]?.userData ?? {};
    if (typeof bot === "string") this.options.events.botChosen(bot);
    else if (typeof seat === "number") this.options.events.playerChosen(seat);
  }

  private listenToContext(): void {
    const { signal } = this.stop;
    this.options.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.isLost = true;
      this.options.onLost?.();
    }, { signal });
    this.options.canvas.addEventListener("webglcontextrestored", () => {
      this.isLost = false;
      this.shadowPass.reset();
      this.width = this.height = 0;
    }, { signal });
  }
}

/** The group under the pointer. Generous spheres are easier to hit than thin arms, above all with fingers. */
function nearestHit(caster: Raycaster, groups: readonly Group[]): Group | null {
  let best: Group | null = null;
  let bestM = Infinity;
  const center = new Vector3();
  for (const group of groups) {
    center.copy(group.position).y += 0.85;
    const distanceM = center.distanceTo(caster.ray.origin);
    if (caster.ray.distanceToPoint(center) < 0.75 && distanceM < bestM) [best, bestM] = [group, distanceM];
  }
  return best;
}
