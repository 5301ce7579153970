/** What can be done with a player whose avatar was clicked. */

import type { PlayerView } from "../../scene/api.ts";
import { openDialog, type Dialog } from "../dialog.ts";
import { button, h } from "../dom.ts";
import { figure } from "../figure.ts";
import { icon } from "../icons.ts";
import type { PlayerActions } from "./playerRow.ts";

/** Open the dialog. */
export function playerDialog(player: PlayerView, isBlocked: boolean, actions: PlayerActions): void {
  const then = (action: () => void) => (): void => {
    dialog.close();
    action();
  };
  const buttons = h(
    "div",
    { class: "big-buttons" },
    button({ class: "primary", onClick: then(() => actions.whisper(player)) }, icon("whisper"), h("span", { text: "people.whisperShort" })),
    button(
      { onClick: then(() => actions.block(player, !isBlocked)) },
      icon("block"),
      h("span", { text: isBlocked ? "people.unblockShort" : "people.blockShort" }),
    ),
    button({ onClick: then(() => actions.report(player)) }, icon("report"), h("span", { text: "people.reportShort" })),
  );
  const title = { key: "chat.answerTo", params: { name: player.name } } as const;
  const dialog: Dialog = openDialog(title, [h("div", { class: "big-figure" }, figure(player.look)), buttons], { class: "narrow" });
}
