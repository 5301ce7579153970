import { PerspectiveCamera, Vector3 } from "three";
import type { CameraStats } from "../api";
import { easing, turnBetween } from "../core/angles";
import { clamp, mix } from "../core/numbers";
import { footingAt, heightAt } from "../ground/terrain";
import { freeShare, type Blocker } from "./camera-collision";

const NEAREST_M = 2.6;
const FARTHEST_M = 16;
const LOWEST_RAD = -0.16;
const HIGHEST_RAD = 1.25;
const HEAD_M = 1.45;
/** The camera looks over the head, so that the avatar does not hide what is ahead. */
const LOOK_ABOVE_SHARE = 0.11;
const FIRST_PITCH_RAD = 0.2;
/** How far ahead the camera looks for a slope when it is put somewhere. */
const AHEAD_M = 20;
const TURN_PER_PX = 0.0052;

/** Looks over the avatar's shoulder; can be turned, and comes nearer when something is in the way. */
export class FollowCamera {
  readonly camera = new PerspectiveCamera(58, 1, 0.1, 900);
  /** Direction in which the camera looks, about the vertical axis; 0 looks south. */
  angleRad = Math.PI;
  pitchRad = FIRST_PITCH_RAD;
  distanceM = 6.2;
  private shownM = 6.2;
  private idleS = 0;
  private readonly target = new Vector3();
  private readonly wanted = new Vector3();

  /** Where the camera is. */
  get stats(): CameraStats {
    const { x, y, z } = this.camera.position;
    const { angleRad, pitchRad, distanceM: wantedM, shownM } = this;
    return { x, y, z, aboveGroundM: y - heightAt(x, z), angleRad, pitchRad, wantedM, shownM };
  }

  /** Turn by a drag in pixels. */
  turn(dx: number, dy: number): void {
    this.angleRad += dx * TURN_PER_PX;
    this.pitchRad = clamp(this.pitchRad + dy * TURN_PER_PX * 0.8, LOWEST_RAD, HIGHEST_RAD);
    this.idleS = 0;
  }

  /** Zoom by a factor. */
  zoom(factor: number): void {
    this.distanceM = clamp(this.distanceM * factor, NEAREST_M, FARTHEST_M);
  }

  /** Look in a direction from a distance. */
  look(angleRad: number, pitchRad: number, distanceM: number): void {
    [this.angleRad, this.pitchRad, this.distanceM, this.shownM] = [angleRad, pitchRad, distanceM, distanceM];
  }

  /** Stand behind the avatar at once, as after a portal. Before a slope the camera looks up it. */
  snap(x: number, z: number, angleRad: number): void {
    this.angleRad = angleRad;
    const riseM = heightAt(x + Math.sin(angleRad) * AHEAD_M, z + Math.cos(angleRad) * AHEAD_M) - heightAt(x, z);
    this.pitchRad = clamp(FIRST_PITCH_RAD - (riseM / AHEAD_M) * 0.55, -0.06, FIRST_PITCH_RAD);
    this.target.set(x, footingAt(x, z) + HEAD_M, z);
    this.shownM = this.distanceM;
  }

  /**
   * Go on with a frame.
   *
   * @param swing whether the camera swings behind a running avatar by itself.
   */
  follow(at: { x: number; y: number; z: number; angleRad: number; isRunning: boolean }, blockers: readonly Blocker[], seconds: number, swing: boolean): void {
    this.idleS += seconds;
    if (swing && at.isRunning && this.idleS > 1.2) this.swingBehind(at.angleRad, seconds);
    const share = easing(swing ? 14 : 40, seconds);
    this.target.x = mix(this.target.x, at.x, share);
    this.target.z = mix(this.target.z, at.z, share);
    this.target.y = mix(this.target.y, at.y + HEAD_M, easing(9, seconds));
    this.place(blockers, seconds);
  }

  /** Circle slowly over the plaza, before anyone has entered. */
  panorama(timeS: number): void {
    const angle = 0.35 + Math.sin(timeS * 0.06) * 0.5;
    this.camera.position.set(Math.sin(angle) * 24, 7.2, Math.cos(angle) * 24);
    this.camera.lookAt(0, 2.6, -6);
  }

  /** Only a little, and not when running towards the camera, so that it never fights with the player. */
  private swingBehind(angleRad: number, seconds: number): void {
    const away = turnBetween(this.angleRad, angleRad);
    if (Math.abs(away) > 2.2) return;
    this.angleRad += Math.sin(away) * easing(0.7, seconds);
  }

  private place(blockers: readonly Blocker[], seconds: number): void {
    const flat = Math.cos(this.pitchRad);
    this.wanted.set(
      this.target.x - Math.sin(this.angleRad) * flat * this.distanceM,
      this.target.y + Math.sin(this.pitchRad) * this.distanceM,
      this.target.z - Math.cos(this.angleRad) * flat * this.distanceM,
    );
    const freeM = freeShare(this.target, this.wanted, blockers, heightAt) * this.distanceM;
    const isNearer = freeM < this.shownM;
    this.shownM = mix(this.shownM, freeM, easing(isNearer ? 30 : 5, seconds));
    if (isNearer) this.shownM = Math.min(this.shownM, freeM + 0.3);
    this.camera.position.lerpVectors(this.target, this.wanted, Math.max(this.shownM, 0.6) / this.distanceM);
    this.camera.position.y = Math.max(this.camera.position.y, heightAt(this.camera.position.x, this.camera.position.z) + 0.3);
    this.camera.lookAt(this.target.x, this.target.y + this.shownM * LOOK_ABOVE_SHARE, this.target.z);
  }
}
