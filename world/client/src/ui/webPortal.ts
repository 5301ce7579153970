/** Asks before the browser leaves for another site, and shows which one. */

import { language } from "../i18n/language.ts";
import type { WebPortal } from "../net/session.ts";
import { openDialog, type Dialog } from "./dialog.ts";
import { button, h } from "./dom.ts";
import { icon } from "./icons.ts";

/** Open the dialog for a web portal. The shown host is taken from the address itself, so that the two cannot differ. */
export function webPortalDialog(portal: WebPortal): void {
  const target = webAddress(portal.url);
  if (target === null) return;
  const go = h(
    "a",
    {
      class: "button primary",
      text: "web.open",
      attributes: { href: target.href, target: "_blank", rel: "noopener noreferrer" },
      onClick: () => dialog.close(),
    },
  );
  const dialog: Dialog = openDialog("web.title", [
    h("div", { class: "portal-card" }, icon("globe"), h("div", {}, h("p", { class: "portal-name" }, portal[language()]), h("p", { class: "hint", text: "web.host" }), h("p", { class: "host" }, target.host))),
    h("p", { class: "hint", text: "web.about" }),
    h("div", { class: "actions" }, button({ text: "cancel", onClick: () => dialog.close() }), go),
  ]);
}

/** Return an address that a browser may be sent to; null for any other. */
export function webAddress(url: string): URL | null {
  if (!URL.canParse(url)) return null;
  const found = new URL(url);
  return found.protocol === "https:" || found.protocol === "http:" ? found : null;
}
