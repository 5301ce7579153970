/** The book of a bot: what it has lately learned from people. */

import { getBook, RequestRefused, type Book } from "../net/session.ts";
import type { BotId } from "../net/messages.ts";
import { openDialog } from "./dialog.ts";
import { h } from "./dom.ts";
import { botNameKey, refusalText } from "./names.ts";

/** Open the book. */
export async function bookDialog(bot: BotId): Promise<void> {
  const keys = { bot: botNameKey(bot) };
  const dialog = openDialog({ key: "bot.book", keys }, [h("p", { class: "hint", text: "book.loading" })], { class: "book" });
  try {
    dialog.body.replaceChildren(h("p", { class: "hint", text: { key: "book.about", keys } }), ...pages(await getBook(bot), bot));
  } catch (error) {
    const why = error instanceof RequestRefused ? refusalText(error.reason, error.waitS) : refusalText("unavailable", 0);
    dialog.body.replaceChildren(h("p", { class: "problem", attributes: { role: "alert" } }, why));
  }
}

function pages(book: Book, bot: BotId): HTMLElement[] {
  if (book.pairs.length === 0) return [h("p", { class: "empty", text: "book.empty" })];
  const list = h("ul", { class: "pages" });
  for (const { question, answer } of book.pairs) {
    list.append(
      h(
        "li",
        {},
        h("p", { class: "asked" }, h("span", { class: "who", text: "book.question" }), " ", question),
        h("p", { class: "learned" }, h("span", { class: "who", text: botNameKey(bot) }), " ", answer),
      ),
    );
  }
  return [h("p", { class: "book-version", text: { key: "book.version", params: { version: book.version } } }), list];
}
