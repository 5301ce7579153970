/** The form at the door: name, looks and consent. */

import type { Game } from "../../game/game.ts";
import type { SceneHolder } from "../../game/sceneHolder.ts";
import { localize } from "../../i18n/localize.ts";
import { checkedName } from "../../model/guestName.ts";
import { postSession, RequestRefused } from "../../net/session.ts";
import { ConsentFields } from "../consentFields.ts";
import { button, field, h } from "../dom.ts";
import { sendOnEnter } from "../enterKey.ts";
import { LookPicker } from "../lookPicker.ts";
import { refusalText } from "../names.ts";

export interface GuestForm {
  element: HTMLElement;
  /** Draw the preview again. */
  refreshLooks(): void;
}

/** Return the form. It makes the session, and then calls `done`. */
export function guestForm(game: Game, scene: SceneHolder, done: () => void): GuestForm {
  const { guest } = game.session;
  const name = nameInput(guest?.name ?? "");
  const problem = h("p", { class: "problem", id: "name-problem", attributes: { role: "alert" } });
  const consent = new ConsentFields(guest ?? { store: false, learn: false, minor: false }, true);
  const looks = new LookPicker(game.look, (canvas, look) => scene.preview(canvas, look), (look) => game.chooseLook(look));
  const enter = button({ class: "primary big", text: "door.enter", attributes: { type: "submit" } });

  const submit = async (): Promise<void> => {
    if (enter.disabled) return;
    setBusy(enter, true);
    try {
      game.session.guest = await postSession(checkedName(name.value), consent.value);
      game.consentWish.forget();
      problem.textContent = "";
      done();
    } catch (error) {
      problem.textContent = error instanceof RequestRefused ? refusalText(error.reason, error.waitS) : refusalText("unavailable", 0);
      name.setAttribute("aria-invalid", "true");
      name.focus();
    } finally {
      setBusy(enter, false);
    }
  };

  const nameField = field("door.name", name, "door.nameHint");
  nameField.append(problem);
  name.setAttribute("aria-describedby", `${name.getAttribute("aria-describedby") ?? ""} ${problem.id}`);
  const element = h("form", { class: "guest-form", attributes: { novalidate: "" } }, nameField, looks.element, consent.element, enter);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  sendOnEnter(name, () => void submit());
  name.addEventListener("input", () => {
    problem.textContent = "";
    name.removeAttribute("aria-invalid");
  });
  return { element, refreshLooks: () => looks.refresh() };
}

function nameInput(value: string): HTMLInputElement {
  const input = h("input", {
    id: "guest-name",
    attributes: { type: "text", autocomplete: "nickname", spellcheck: "false", enterkeyhint: "go", maxlength: "40" },
  });
  input.value = value;
  return input;
}

function setBusy(enter: HTMLButtonElement, isBusy: boolean): void {
  enter.disabled = isBusy;
  localize(enter, isBusy ? "door.entering" : "door.enter");
}
