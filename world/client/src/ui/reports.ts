/** The dialogs that report a player, a line of the chat, or a bot's answer. */

import type { Wording } from "../i18n/localize.ts";
import type { Game } from "../game/game.ts";
import { MAX_CHAT_CHARS } from "../net/messages.ts";
import { openDialog, type Dialog } from "./dialog.ts";
import { button, field, h, type Child } from "./dom.ts";

/** Report a player, or one line. */
export function reportPlayerDialog(game: Game, seat: number, name: string, line?: string): void {
  reportDialog({ key: "report.title", params: { name } }, [h("p", { text: "report.about" })], (text) =>
    game.reportPlayer(seat, text, line),
  );
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
