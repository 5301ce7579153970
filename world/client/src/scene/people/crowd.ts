import type { Camera, Group, Scene } from "three";
import type { EmoteKind, Look, PlayerView, Position } from "../api";
import { Label, type Labels } from "../labels/labels";
import type { Materials } from "../light/materials";
import { Avatar } from "./avatar";
import type { BlobShadows } from "./blob-shadows";

interface Member {
  avatar: Avatar;
  label: Label;
  before: { x: number; z: number };
}

/** Farther figures throw no shadow that could be seen. */
const FAR_M = 45;

/** All players in the world, the own one among them. */
export class Crowd {
  me: Avatar | null = null;
  private readonly members = new Map<number, Member>();
  private readonly scene: Scene;
  private readonly materials: Materials;
  private readonly labels: Labels;
  private readonly fineness: number;
  private readonly calm: boolean;

  constructor(scene: Scene, materials: Materials, labels: Labels, options: { calm: boolean; fineness: number }) {
    this.fineness = options.fineness;
    this.calm = options.calm;
    this.scene = scene;
    this.materials = materials;
    this.labels = labels;
  }

  /** Number of players. */
  get size(): number {
    return this.members.size;
  }

  /** Bring a player in; someone with the same seat leaves first. */
  add(view: PlayerView, isOwn: boolean): Avatar {
    this.remove(view.seat);
    const avatar = new Avatar(this.materials, view, this.fineness);
    const label = new Label(view.name, isOwn ? "own" : "player");
    this.members.set(view.seat, { avatar, label, before: { x: view.x, z: view.z } });
    this.scene.add(avatar.figure.group);
    this.labels.add(label);
    if (isOwn) this.me = avatar;
    return avatar;
  }

  remove(seat: number): void {
    const member = this.members.get(seat);
    if (!member) return;
    this.members.delete(seat);
    this.labels.remove(member.label);
    member.avatar.dispose();
    if (this.me?.seat === seat) this.me = null;
  }

  /** Everyone but the own avatar leaves. */
  clearOthers(): void {
    for (const seat of [...this.members.keys()]) {
      if (seat !== this.me?.seat) this.remove(seat);
    }
  }

  dress(seat: number, look: Look): void {
    this.members.get(seat)?.avatar.dress(look);
  }

  follow(positions: readonly Position[], nowS: number): void {
    for (const position of positions) {
      if (position.seat !== this.me?.seat) this.members.get(position.seat)?.avatar.follow(position, nowS);
    }
  }

  emote(seat: number, kind: EmoteKind, nowS: number): void {
    this.members.get(seat)?.avatar.emote(kind, nowS);
  }

  say(seat: number, text: string, nowS: number): void {
    this.members.get(seat)?.label.say(text, nowS);
  }

  clearBubble(seat: number): void {
    this.members.get(seat)?.label.clear();
  }

  avatarOf(seat: number): Avatar | null {
    return this.members.get(seat)?.avatar ?? null;
  }

  /** The player nearest to a point. */
  nearest(at: { x: number; z: number }): Avatar | null {
    let best: Avatar | null = null;
    let bestM = Infinity;
    for (const { avatar } of this.members.values()) {
      const distance = Math.hypot(avatar.x - at.x, avatar.z - at.z);
      if (distance < bestM) [best, bestM] = [avatar, distance];
    }
    return best;
  }

  /** Bodies that can be clicked. */
  get targets(): Group[] {
    return [...this.members.values()].map(({ avatar }) => avatar.figure.group);
  }

  /** Where others are shown. */
  get positions(): Record<number, { x: number; z: number }> {
    const found: Record<number, { x: number; z: number }> = {};
    for (const [seat, { avatar }] of this.members) {
      if (avatar !== this.me) found[seat] = { x: avatar.x, z: avatar.z };
    }
    return found;
  }

  /**
   * Go on with a frame.
   *
   * @param leastPerM size of the smallest shape to draw, per metre of distance.
   */
  update(nowS: number, seconds: number, camera: Camera, shadows: BlobShadows, leastPerM: number): void {
    for (const member of this.members.values()) {
      const { avatar, label } = member;
      const isOwn = avatar === this.me;
      avatar.update(nowS, seconds, { isOwn, calm: this.calm }, member.before);
      [member.before.x, member.before.z] = [avatar.x, avatar.z];
      const { x, y, z } = avatar.figure.group.position;
      label.point.set(x, y + avatar.tagM - (avatar.isSitting ? 0.25 : 0), z);
      const distanceM = Math.hypot(x - camera.position.x, z - camera.position.z);
      avatar.figure.limit(distanceM * leastPerM);
      if (distanceM < FAR_M) shadows.add(x, z, avatar.jumpM);
    }
  }

  dispose(): void {
    for (const seat of [...this.members.keys()]) this.remove(seat);
  }
}
