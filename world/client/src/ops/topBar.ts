/** The bar on top of every view: where one is, links to the other servers' pages, language, theme, the way out. */

import type { Language, TextKey } from "../i18n/language.ts";
import { button, h } from "../ui/dom.ts";
import { languageSwitch } from "../ui/languageSwitch.ts";
import type { DashboardInfo } from "./apiTypes.ts";
import { awayLink, isWebAddress } from "./dom.ts";
import type { Theme } from "./settings.ts";

const SERVERS: Readonly<Record<string, string>> = { mlflow: "MLflow", airflow: "Airflow" };
const THEMES: readonly [Theme, TextKey][] = [
  ["auto", "ops.theme.auto"],
  ["light", "ops.theme.light"],
  ["dark", "ops.theme.dark"],
];

export interface TopBarOptions {
  /** Null while nobody is logged in. */
  info: DashboardInfo | null;
  theme: Theme;
  setTheme(theme: Theme): void;
  setLanguage(language: Language): void;
  signOut(): void;
}

/** Return the bar. */
export function topBar(options: TopBarOptions): HTMLElement {
  const home = h("a", { class: "home", attributes: { href: "/ops" } }, h("span", { class: "lantern", attributes: { "aria-hidden": "true" } }), h("span", { text: "ops.title" }));
  const tools = h("div", { class: "tools" }, languageSwitch(options.setLanguage), themeChoice(options));
  if (options.info) tools.append(button({ class: "sign-out", text: "ops.signOut", onClick: options.signOut }));
  return h("header", { class: "top" }, home, options.info ? serverLinks(options.info) : null, tools);
}

function serverLinks({ links }: DashboardInfo): HTMLElement {
  const known = Object.entries(links).filter(([, address]) => isWebAddress(address));
  const items = known.map(([name, address]) => h("li", {}, awayLink(address, SERVERS[name] ?? name)));
  return h("nav", { class: "servers", label: "ops.servers" }, h("ul", {}, ...items));
}

function themeChoice({ theme, setTheme }: TopBarOptions): HTMLElement {
  const select = h("select", { class: "theme", label: "ops.theme" });
  for (const [value, text] of THEMES) select.append(h("option", { text, attributes: { value } }));
  select.value = theme;
  select.addEventListener("change", () => {
    const chosen = THEMES.find(([value]) => value === select.value);
    if (chosen) setTheme(chosen[0]);
  });
  return select;
}
