/** The dialogs that report a player, a line of the chat, or a bot's answer. */

import type { Wording } from "../i18n/localize.ts";
import type { Game, Reported } from "../game/game.ts";
import { MAX_CHAT_CHARS } from "../net/messages.ts";
import { openDialog, type Dialog } from "./dialog.ts";
import { button, field, h, type Child } from "./dom.ts";

/** Report a person. */
export function reportPlayerDialog(game: Game, reported: Reported & { name: string }, isWhisper = false): void {
  const about = h("p", { text: isWhisper ? "report.aboutWhisper" : "report.about" });
  reportDialog({ key: "report.title", params: { name: reported.name } }, [about], (text) => game.reportPlayer(reported, text));
}

/** Report an answer of a bot. */
export function reportAnswerDialog(game: Game, turn: string): void {
  reportDialog("answer.reportAsk", [], (text) => game.reportTurn(turn, text));
}

function reportDialog(title: Wording, about: Child[], send: (text: string) => void): void {
  const remark = h("textarea", { attributes: { rows: "3", maxlength: String(MAX_CHAT_CHARS) } });
  const report = (): void => {
    dialog.close();
    send(remark.value.trim());
  };
  const actions = h(
    "div",
    { class: "actions" },
    button({ text: "cancel", onClick: () => dialog.close() }),
    button({ class: "danger", text: "answer.reportSend", onClick: report }),
  );
  const dialog: Dialog = openDialog(title, [...about, field("answer.reportLabel", remark), actions]);
}
