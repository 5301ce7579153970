import { PerspectiveCamera, Scene, WebGLRenderTarget, type WebGLRenderer } from "three";
import type { Look } from "../api";
import { daylightAt } from "../light/daylight";
import { Materials } from "../light/materials";
import { ShadowPass } from "../light/shadow-pass";
import { applyDaylight, worldUniforms } from "../light/uniforms";
import { bodyScale, JOINTS, personGeometry } from "./body";
import { Figure } from "./figure";
import { poseOf } from "./pose";

const OVERSAMPLE = 2;

/** Draws still avatars into other canvases, with the world's own renderer. */
export class Preview {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(24, 1, 0.1, 20);
  private readonly materials: Materials;
  private readonly own = document.createElement("canvas");

  constructor(renderer: WebGLRenderer) {
    this.renderer = renderer;
    const uniforms = worldUniforms();
    applyDaylight(uniforms, { ...daylightAt(0.2), sunDirection: [0.35, 0.6, 0.72] });
    this.materials = new Materials(uniforms, new ShadowPass().uniforms);
    this.camera.position.set(0, 1.2, 5);
    this.camera.lookAt(0, 0.88, 0);
  }

  /** Draw a look, turned a little to the side, on a clear ground. */
  draw(canvas: HTMLCanvasElement, look: Look): void {
    const [width, height] = [canvas.width * OVERSAMPLE, canvas.height * OVERSAMPLE];
    if (width === 0 || height === 0) return;
    const figure = new Figure(this.materials, personGeometry(look, 1.3), JOINTS);
    const { wide, high } = bodyScale(look);
    figure.group.scale.set(wide, high, wide);
    figure.group.rotation.y = 0.32;
    figure.pose({ ...poseOf({ timeS: 0.4, own: 0.2, speedMPerS: 0, isInAir: false, strideM: 0, emote: null, emoteS: 0 }), rightArmOut: 0.5, headTilt: 0.06, eyes: 1 });
    this.scene.add(figure.group);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.copy(canvas, this.pixels(width, height), width, height);
    figure.dispose();
  }

  dispose(): void {
    this.materials.dispose();
  }

  private pixels(width: number, height: number): Uint8ClampedArray<ArrayBuffer> {
    const target = new WebGLRenderTarget(width, height);
    const pixels = new Uint8ClampedArray(width * height * 4);
    this.renderer.setRenderTarget(target);
    this.renderer.setClearColor(0, 0);
    this.renderer.clear();
    this.renderer.render(this.scene, this.camera);
    this.renderer.readRenderTargetPixels(target, 0, 0, width, height, pixels);
    this.renderer.setRenderTarget(null);
    target.dispose();
    return pixels;
  }

  /** Rows come from the bottom up. */
  private copy(canvas: HTMLCanvasElement, pixels: Uint8ClampedArray<ArrayBuffer>, width: number, height: number): void {
    [this.own.width, this.own.height] = [width, height];
    this.own.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
    const brush = canvas.getContext("2d");
    if (!brush) return;
    brush.setTransform(1, 0, 0, -1, 0, canvas.height);
    brush.imageSmoothingQuality = "high";
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(this.own, 0, 0, canvas.width, canvas.height);
    brush.resetTransform();
  }
}
