/** Puts the parts of the operators' page together: what the address asks for, or the login before it. */

import { onLanguage, setLanguage, text } from "../i18n/language.ts";
import { storageOf } from "../model/storage.ts";
import { noteOperator } from "../net/operator.ts";
import { closeDialogs } from "../ui/dialog.ts";
import { button, h } from "../ui/dom.ts";
import { afterLogin, placeOf } from "./address.ts";
import { OpsApi } from "./api.ts";
import type { DashboardInfo } from "./apiTypes.ts";
import { ConversationPage } from "./conversation/conversationPage.ts";
import { Dashboard } from "./dashboard/dashboard.ts";
import { failureWording } from "./dom.ts";
import { loginForm } from "./loginForm.ts";
import { OpsSettings, type Theme } from "./settings.ts";
import { installTestHook } from "./testHook.ts";
import { topBar } from "./topBar.ts";
import { TurnPage } from "./turn/turnPage.ts";

/** What fills the page, and can be drawn again in another language or theme. */
interface View {
  element: HTMLElement;
  redraw(): void;
  dispose(): void;
}

export class OpsApp {
  readonly #api = new OpsApi();
  readonly #storage = storageOf("localStorage");
  readonly #settings = new OpsSettings(this.#storage, navigator.languages);
  readonly #place = placeOf(location.pathname, location.search);
  #view: View | null = null;

  constructor(private readonly root: HTMLElement) {
    this.#api.onLoginNeeded(() => this.#showLogin());
    onLanguage(() => this.#languageChanged());
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#view?.redraw());
    this.#applyTheme(this.#settings.get("theme"));
    setLanguage(this.#settings.get("language"));
    installTestHook(() => (this.#view instanceof Dashboard ? this.#view : null));
    if (this.#place.is === "login") this.#showLogin();
    else void this.#begin();
  }

  async #begin(): Promise<void> {
    try {
      const [, info] = await Promise.all([this.#api.me(), this.#api.dashboard()]);
      noteOperator(this.#storage, true);
      this.#showInside(info);
    } catch (error) {
      if (this.#view === null) this.#showFailure(error);
    }
  }

  #showInside(info: DashboardInfo): void {
    this.#show(this.#viewOf(info), this.#bar(info));
  }

  #viewOf(info: DashboardInfo): View {
    const place = this.#place;
    if (place.is === "turn") return new TurnPage(this.#api, info, place.id);
    if (place.is === "conversation") return new ConversationPage(this.#api, info, place);
    return new Dashboard(this.#api, info);
  }

  #bar(info: DashboardInfo | null): HTMLElement {
    return topBar({
      info,
      theme: this.#settings.get("theme"),
      setTheme: (theme) => this.#setTheme(theme),
      setLanguage: (language) => {
        this.#settings.set("language", language);
        setLanguage(language);
      },
      signOut: () => void this.#signOut(),
    });
  }

  /** Show the login; what was open is closed, because nobody may read it any more. */
  #showLogin(): void {
    noteOperator(this.#storage, false);
    closeDialogs();
    const isAddress = this.#place.is === "login";
    const entered = (): void => {
      noteOperator(this.#storage, true);
      if (isAddress) location.assign(afterLogin(location.search));
      else void this.#begin();
    };
    this.#show({ ...loginForm(this.#api, entered), redraw: () => undefined, dispose: () => undefined }, this.#bar(null));
    this.root.querySelector<HTMLElement>("input")?.focus();
  }

  #showFailure(error: unknown): void {
    const retry = (): void => {
      this.#view = null;
      void this.#begin();
    };
    const element = h(
      "main",
      { class: "card failure" },
      h("h1", { text: "ops.title" }),
      h("p", { class: "problem", text: failureWording(error), attributes: { role: "alert" } }),
      button({ class: "primary", text: "ops.retry", onClick: retry }),
    );
    this.#show({ element, redraw: () => undefined, dispose: () => undefined }, this.#bar(null));
  }

  #show(view: View, bar: HTMLElement): void {
    this.#view?.dispose();
    this.#view = view;
    this.root.replaceChildren(bar, view.element);
  }

  async #signOut(): Promise<void> {
    noteOperator(this.#storage, false);
    await this.#api.logout().catch(() => undefined);
    location.assign("/ops/login");
  }

  #setTheme(theme: Theme): void {
    this.#settings.set("theme", theme);
    this.#applyTheme(theme);
    this.#view?.redraw();
  }

  #applyTheme(theme: Theme): void {
    document.documentElement.dataset.theme = theme;
  }

  #languageChanged(): void {
    document.documentElement.lang = this.#settings.get("language");
    const id = "id" in this.#place ? `${this.#place.id} · ` : "";
    document.title = `${id}${text("ops.title")}`;
    this.#view?.redraw();
  }
}
