/** The help: the keys, and how to be with each other. */

import type { TextKey } from "../i18n/ko.ts";
import { openDialog } from "./dialog.ts";
import { h } from "./dom.ts";

/** Keys are words of a language, or names of keys. */
const ROWS: readonly [TextKey, TextKey | readonly string[]][] = [
  ["help.walk", "help.walkKeys"],
  ["help.run", "help.runKeys"],
  ["help.jump", "help.jumpKeys"],
  ["help.look", "help.lookKeys"],
  ["help.talk", ["E"]],
  ["help.portal", ["F"]],
  ["help.chat", ["Enter"]],
  ["help.world", ["Esc"]],
  ["help.emotes", ["1", "2", "3", "4", "5"]],
  ["help.people", ["P"]],
  ["help.list", ["L"]],
  ["help.help", ["H"]],
];

/** Open the help. */
export function helpDialog(): void {
  const list = h("dl", { class: "keys" });
  for (const [what, keys] of ROWS) {
    const shown =
      typeof keys === "string" ? [h("span", { text: keys })] : keys.flatMap((key) => [h("kbd", {}, key), " "]);
    list.append(h("div", {}, h("dt", { text: what }), h("dd", {}, ...shown)));
  }
  openDialog("help.title", [list, h("p", { class: "hint", text: "help.shortcuts" }), h("p", { class: "hint", text: "help.touch" }), h("p", { class: "kind", text: "help.kind" })]);
}
