/** The card of a person: what can be done with a player, and what each of it means. */

import type { TextKey } from "../../i18n/ko.ts";
import type { Player } from "../../net/messages.ts";
import { openDialog, type Dialog } from "../dialog.ts";
import { button, freeId, h } from "../dom.ts";
import { figure } from "../figure.ts";
import { icon, type IconName } from "../icons.ts";
import type { Marks, PlayerActions } from "./playerRow.ts";

export interface CardActions extends Omit<PlayerActions, "card"> {
  /** Mute for this tab, or listen again. */
  mute(player: Player, muted: boolean): void;
}

/** Open the card. */
export function playerDialog(player: Player, { blocked, muted }: Marks, actions: CardActions): void {
  const choice = (name: IconName, text: TextKey, about: TextKey, act: () => void): HTMLElement => {
    const id = freeId("about");
    const then = (): void => {
      dialog.close();
      act();
    };
    return h(
      "div",
      { class: "choice-about" },
      button({ onClick: then, attributes: { "aria-describedby": id } }, icon(name), h("span", { text })),
      h("p", { class: "hint", id, text: about }),
    );
  };
  const whisper = choice("whisper", "people.whisperShort", "people.whisperAbout", () => actions.whisper(player));
  whisper.querySelector("button")?.classList.add("primary");
  const choices = h(
    "div",
    { class: "big-buttons" },
    whisper,
    choice("mute", muted ? "people.unmute" : "people.mute", "people.muteAbout", () => actions.mute(player, !muted)),
    choice("block", blocked ? "people.unblockShort" : "people.blockShort", "people.blockAbout", () => actions.block(player, !blocked)),
    choice("report", "people.reportShort", "people.reportAbout", () => actions.report(player)),
  );
  const title = { key: "people.card", params: { name: player.name } } as const;
  const dialog: Dialog = openDialog(title, [h("div", { class: "big-figure" }, figure(player.look)), choices], { class: "narrow" });
}
