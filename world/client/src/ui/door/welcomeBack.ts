/** The greeting of a guest whom this browser knows: one press enters. */

import type { Guest } from "../../net/session.ts";
import type { Look } from "../../scene/api.ts";
import { button, h } from "../dom.ts";
import { figure } from "../figure.ts";

export interface WelcomeActions {
  enter(): void;
  change(): void;
  forget(): void;
}

/** Return the greeting. */
export function welcomeBack(guest: Guest, look: Look, actions: WelcomeActions): HTMLElement {
  const consent = {
    key: "door.learnNow",
    keys: { learn: guest.learn ? "yes" : "no", store: guest.store ? "yes" : "no" },
  } as const;
  return h(
    "section",
    { class: "welcome-back" },
    h("div", { class: "big-figure" }, figure(look)),
    h("h2", { text: { key: "door.hello", params: { name: guest.name } } }),
    h("p", { class: "hint", text: "door.helloAbout" }),
    button({ class: "primary big", text: "door.enter", onClick: actions.enter }),
    h("p", { class: "hint consent-now", text: consent }),
    h(
      "div",
      { class: "actions center" },
      button({ class: "quiet", text: "door.change", onClick: actions.change }),
      button({ class: "quiet", text: "door.forget", onClick: actions.forget }),
    ),
  );
}
