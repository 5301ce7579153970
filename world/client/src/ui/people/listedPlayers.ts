/** The players whom this one has blocked or muted, in the settings, to lift it again. */

import type { TextKey } from "../../i18n/ko.ts";
import type { ListedPlayer, PlayerList } from "../../model/playerList.ts";
import { showChildren } from "../children.ts";
import { button, h } from "../dom.ts";

/** Return the list. It follows the changes until it leaves the page. */
export function listedPlayers(list: PlayerList, empty: TextKey, lift: { text: TextKey; label: TextKey }, lifted: (player: ListedPlayer) => void): HTMLElement {
  const none = h("p", { class: "hint", text: empty, attributes: { tabindex: "-1" } });
  const rows = h("ul", { class: "listed" });
  const rowByTag = new Map<string, HTMLElement>();
  const show = (): void => {
    const { players } = list;
    none.hidden = players.length > 0;
    rows.hidden = players.length === 0;
    showChildren(rows, [...players].reverse().map((player) => rowOf(player)));
  };
  const rowOf = (player: ListedPlayer): HTMLElement => {
    const known = rowByTag.get(player.tag);
    if (known) return known;
    const act = (): void => {
      lifted(player);
      (rows.querySelector("button") ?? none).focus(); // The pressed button is gone.
    };
    const label = { key: lift.label, params: { name: player.name } } as const;
    const row = h("li", {}, h("span", { class: "player-name" }, player.name), button({ text: lift.text, label, onClick: act }));
    rowByTag.set(player.tag, row);
    return row;
  };
  const element = h("div", {}, none, rows);
  const stop = list.onChange(() => (element.isConnected ? show() : stop()));
  show();
  return element;
}
