import { Vector3, type Camera } from "three";
import { clamp } from "../core/numbers";

const MOST_VISIBLE = 50;
const TAG_FAR_M = 30;
const BUBBLE_FAR_M = 42;
const BUBBLE_LEAST_S = 4;
const BUBBLE_MOST_S = 9;
const READING_CHARACTERS_PER_S = 9;

/** How long a bubble stays, by the length of its text. */
export function bubbleSeconds(text: string): number {
  return clamp(BUBBLE_LEAST_S - 1 + text.length / READING_CHARACTERS_PER_S, BUBBLE_LEAST_S, BUBBLE_MOST_S);
}

/** The name, badge, state, dots and bubble that float over one person or bot. */
export class Label {
  readonly root = document.createElement("div");
  readonly point = new Vector3();
  private readonly tag = element("div", "tag");
  private readonly name = element("span", "tag-name");
  private bubble: HTMLElement | null = null;
  private badge: HTMLElement | null = null;
  private state: HTMLElement | null = null;
  private dots: HTMLElement | null = null;
  private bubbleEndsS = 0;
  private shownAt = "";

  constructor(name: string, kind: "own" | "player" | "bot") {
    this.root.className = `label label-${kind}`;
    this.name.textContent = name;
    this.tag.append(this.name);
    this.root.append(this.tag);
    this.root.style.display = "none";
  }

  /** Mark a bot as such. */
  setBadge(text: string): void {
    this.badge ??= this.tag.insertBefore(element("span", "tag-badge"), this.name);
    this.badge.textContent = text;
  }

  /** Show how a bot is, or nothing. */
  setState(text: string | null, stage: string): void {
    this.root.dataset.stage = stage;
    if (!text) {
      this.state?.remove();
      this.state = null;
      return;
    }
    this.state ??= this.tag.appendChild(element("span", "tag-state"));
    this.state.textContent = text;
  }

  /** Show three dots while a bot thinks. */
  setThinking(thinks: boolean): void {
    if (thinks === (this.dots !== null)) return;
    this.dots?.remove();
    this.dots = thinks ? element("div", "bubble bubble-thinking") : null;
    if (!this.dots) return;
    this.dots.append(element("i", ""), element("i", ""), element("i", ""));
    this.root.prepend(this.dots);
  }

  /** Show plain text; `to` names whom it is for. */
  say(text: string, nowS: number, to?: string): void {
    this.clear();
    this.bubble = element("div", "bubble");
    if (to) {
      const address = element("span", "bubble-to");
      address.textContent = `@${to}`;
      this.bubble.append(address, " ");
    }
    this.bubble.append(document.createTextNode(text));
    this.root.prepend(this.bubble);
    this.bubbleEndsS = nowS + bubbleSeconds(text);
  }

  /** Take the bubble away. */
  clear(): void {
    this.bubble?.remove();
    this.bubble = null;
  }

  /** Say whether a bubble or dots are open. */
  get speaks(): boolean {
    return this.bubble !== null || this.dots !== null;
  }

  /** Take away a bubble that was shown long enough. */
  expire(nowS: number): void {
    if (this.bubble && nowS >= this.bubbleEndsS) this.clear();
  }

  /** Show the label at a point of the screen, or hide it. */
  place(at: { x: number; y: number; scale: number; order: number } | null): void {
    const next = at ? `translate3d(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px, 0) translate(-50%, -100%) scale(${at.scale.toFixed(2)})` : "";
    if (next === this.shownAt) return;
    if (!next !== !this.shownAt) this.root.style.display = next ? "" : "none";
    this.shownAt = next;
    if (!at) return;
    this.root.style.transform = next;
    this.root.style.zIndex = String(at.order);
  }
}

/** Puts all labels where their owners are on the screen; far ones are hidden. */
export class Labels {
  private readonly layer: HTMLElement;
  private readonly all = new Set<Label>();
  private readonly seen = new Vector3();

  constructor(layer: HTMLElement) {
    this.layer = layer;
  }

  add(label: Label): void {
    this.all.add(label);
    this.layer.append(label.root);
  }

  remove(label: Label): void {
    this.all.delete(label);
    label.root.remove();
  }

  /** Place all labels for a frame. */
  update(camera: Camera, width: number, height: number, nowS: number): void {
    const near: { label: Label; distanceM: number }[] = [];
    for (const label of this.all) {
      label.expire(nowS);
      const distanceM = label.point.distanceTo(camera.position);
      if (distanceM < (label.speaks ? BUBBLE_FAR_M : TAG_FAR_M)) near.push({ label, distanceM });
      else label.place(null);
    }
    near.sort((a, b) => a.distanceM - b.distanceM);
    near.forEach(({ label, distanceM }, order) => {
      label.place(order < MOST_VISIBLE ? this.project(label, camera, width, height, distanceM) : null);
    });
  }

  dispose(): void {
    for (const label of this.all) label.root.remove();
    this.all.clear();
  }

  private project(
    label: Label, camera: Camera, width: number, height: number, distanceM: number,
  ): { x: number; y: number; scale: number; order: number } | null {
    this.seen.copy(label.point).project(camera);
    if (this.seen.z > 1 || Math.abs(this.seen.x) > 1.15 || Math.abs(this.seen.y) > 1.3) return null;
    return {
      x: ((this.seen.x + 1) / 2) * width, y: ((1 - this.seen.y) / 2) * height,
      scale: clamp(1.12 - distanceM * 0.013, 0.72, 1), order: Math.max(1, Math.round(1000 - distanceM * 10)),
    };
  }
}

function element(name: string, className: string): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}
