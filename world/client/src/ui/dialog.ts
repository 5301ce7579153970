/** Modal dialogs with a title and a close button. The browser traps the focus and gives it back. */

import type { Wording } from "../i18n/localize.ts";
import { button, freeId, h, type Child } from "./dom.ts";
import { icon } from "./icons.ts";

export interface Dialog {
  element: HTMLDialogElement;
  body: HTMLElement;
  close(): void;
}

export interface DialogOptions {
  class?: string;
  onClose?: () => void;
}

/** Open a dialog. */
export function openDialog(title: Wording, body: Child[], options: DialogOptions = {}): Dialog {
  const id = freeId("dialog");
  const content = h("div", { class: "dialog-body" }, ...body);
  const close = button({ class: "icon-button", label: "close", onClick: () => element.close() }, icon("close"));
  const element = h(
    "dialog",
    { class: `dialog ${options.class ?? ""}`, attributes: { "aria-labelledby": id } },
    h("header", {}, h("h2", { id, text: title }), close),
    content,
  );
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close(); // The backdrop counts as the dialog itself.
  });
  element.addEventListener("close", () => {
    element.remove();
    options.onClose?.();
  });
  document.body.append(element);
  element.showModal();
  return { element, body: content, close: () => element.close() };
}

/** Make a dialog stay until the page closes it: Escape does not. */
export function insist(element: HTMLDialogElement): void {
  element.setAttribute("closedby", "none");
  element.addEventListener("cancel", (event) => event.preventDefault());
  element.addEventListener("keydown", (event) => event.key === "Escape" && event.preventDefault());
}

/** Ask for a yes. */
export function confirmDialog(title: Wording, about: Wording, yes: Wording, onYes: () => void): void {
  const dialog = openDialog(title, [
    h("p", { text: about }),
    h(
      "div",
      { class: "actions" },
      button({ text: "cancel", onClick: () => dialog.close() }),
      button({
        class: "danger",
        text: yes,
        onClick: () => {
          dialog.close();
          onYes();
        },
      }),
    ),
  ]);
}

/** Return whether a dialog is open. */
export function isDialogOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}

/** Close the dialogs that the player has opened. */
export function closeDialogs(): void {
  for (const element of document.querySelectorAll<HTMLDialogElement>("dialog.dialog[open]")) element.close();
}
