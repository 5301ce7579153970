import { Scene, type Camera, type Group } from "three";
import type { BotView } from "../api";
import { PLACES } from "../core/places";
import { Label, type Labels } from "../labels/labels";
import { botName, stageText, WORDS } from "../labels/texts";
import type { Materials } from "../light/materials";
import { worldMaterial } from "../light/world-material";
import type { BlobShadows } from "../people/blob-shadows";
import type { Crowd } from "../people/crowd";
import { Bot } from "./bot";

/** All bots, with their labels. */
export class Troupe {
  private readonly members = new Map<string, { bot: Bot; label: Label }>();
  private readonly language: "ko" | "en";
  private readonly calm: boolean;

  constructor(scene: Scene, materials: Materials, labels: Labels, options: { language: "ko" | "en"; calm: boolean; fineness: number }) {
    const { language, calm, fineness } = options;
    this.language = language;
    this.calm = calm;
    const propMaterial = worldMaterial(materials, true);
    PLACES.bots.forEach((stand, index) => {
      const bot = new Bot(materials, propMaterial, stand, index, fineness);
      const label = new Label(botName(stand.bot, language), "bot");
      label.setBadge(WORDS.badge[language]);
      this.members.set(stand.bot, { bot, label });
      scene.add(bot.figure.group);
      labels.add(label);
    });
  }

  stage(view: BotView, nowS: number): void {
    const member = this.members.get(view.bot);
    if (!member) return;
    member.bot.view(view, nowS);
    member.label.setState(stageText(view.stage, this.language), view.stage);
  }

  say(bot: string, text: string, to: string, nowS: number): void {
    this.members.get(bot)?.label.say(text, nowS, to);
  }

  thinking(bot: string, seat: number): void {
    this.answered(bot, seat);
    this.members.get(bot)?.bot.askers.add(seat);
  }

  answered(bot: string, seat: number): void {
    this.members.get(bot)?.bot.askers.delete(seat);
  }

  /** Bodies that can be clicked. */
  get targets(): Group[] {
    return [...this.members.values()].map(({ bot }) => bot.figure.group);
  }

  /** Go on with a frame. */
  update(nowS: number, seconds: number, crowd: Crowd, camera: Camera, shadows: BlobShadows): void {
    for (const { bot, label } of this.members.values()) {
      const newest = [...bot.askers].at(-1);
      const asker = newest === undefined ? null : crowd.avatarOf(newest);
      bot.update(nowS, seconds, asker ?? crowd.nearest(bot.at), this.calm);
      label.setThinking(bot.askers.size > 0);
      bot.tagPoint(label.point);
      if (Math.hypot(bot.at.x - camera.position.x, bot.at.z - camera.position.z) < 45) shadows.add(bot.at.x, bot.at.z, 0, 0.6);
    }
  }

  dispose(): void {
    for (const { bot } of this.members.values()) bot.dispose();
  }
}
