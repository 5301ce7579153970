/** A player in the list of people, with buttons to whisper, block and report. */

import { localize } from "../../i18n/localize.ts";
import type { PlayerView } from "../../scene/api.ts";
import { button, h } from "../dom.ts";
import { figure } from "../figure.ts";
import { icon } from "../icons.ts";

export interface PlayerActions {
  whisper(player: PlayerView): void;
  /** Block or unblock. */
  block(player: PlayerView, blocked: boolean): void;
  report(player: PlayerView): void;
}

/** Return the buttons for a player. */
export function playerButtons(player: PlayerView, isBlocked: boolean, actions: PlayerActions): HTMLElement {
  const params = { name: player.name };
  const block = button(
    {
      class: "small-icon",
      label: { key: isBlocked ? "people.unblock" : "people.block", params },
      title: isBlocked ? "people.unblockShort" : "people.blockShort",
      attributes: { "aria-pressed": String(isBlocked) },
      onClick: () => actions.block(player, !isBlocked),
    },
    icon("block"),
  );
  const whisper = button(
    {
      class: "small-icon",
      label: { key: "people.whisper", params },
      title: "people.whisperShort",
      onClick: () => actions.whisper(player),
    },
    icon("whisper"),
  );
  const report = button(
    { class: "small-icon", label: { key: "people.report", params }, title: "people.reportShort", onClick: () => actions.report(player) },
    icon("report"),
  );
  return h("div", { class: "row-buttons" }, whisper, block, report);
}

/** Return the row of another player. */
export function playerRow(player: PlayerView, isBlocked: boolean, actions: PlayerActions): HTMLElement {
  const row = h(
    "li",
    { class: isBlocked ? "player-row blocked" : "player-row", attributes: { "data-seat": String(player.seat) } },
    figure(player.look),
    h("span", { class: "player-name" }, player.name),
    playerButtons(player, isBlocked, actions),
  );
  return row;
}

/** Return the row of this player. */
export function ownRow(name: string, avatar: PlayerView | null): HTMLElement {
  const mark = h("span", { class: "mark" });
  localize(mark, "people.me");
  return h("li", { class: "player-row own" }, ...(avatar ? [figure(avatar.look)] : []), h("span", { class: "player-name" }, name), mark);
}
