/** Asks for the operator's name and password. */

import { localize } from "../i18n/localize.ts";
import { field, h } from "../ui/dom.ts";
import type { OpsApi } from "./api.ts";
import { failureWording } from "./dom.ts";

/** Return the form. @param entered is called after the gateway has let somebody in. */
export function loginForm(api: OpsApi, entered: () => void): { element: HTMLElement } {
  const user = h("input", { id: "ops-user", attributes: { name: "user", autocomplete: "username", required: "", autocapitalize: "none", spellcheck: "false" } });
  const password = h("input", { id: "ops-password", attributes: { name: "password", type: "password", autocomplete: "current-password", required: "" } });
  const problem = h("p", { class: "problem", id: "ops-login-problem", attributes: { role: "alert" } });
  const enter = h("button", { class: "primary big", text: "ops.login.enter", attributes: { type: "submit" } });
  const form = h("form", {}, field("ops.login.user", user), field("ops.login.password", password), problem, enter);
  password.setAttribute("aria-describedby", problem.id);

  async function send(): Promise<void> {
    enter.disabled = true;
    problem.replaceChildren();
    try {
      await api.login(user.value, password.value);
      entered();
    } catch (error) {
      const line = h("span");
      localize(line, failureWording(error));
      problem.replaceChildren(line);
      enter.disabled = false;
      password.select();
      password.focus();
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });
  const element = h("main", { class: "card login" }, h("h1", { text: "ops.login.title" }), h("p", { class: "hint", text: "ops.login.about" }), form);
  return { element };
}
