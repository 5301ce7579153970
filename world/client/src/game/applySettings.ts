/** Shows the settings in the page: language, text size, colours and motion. */

import { onLanguage, setLanguage, text, type Language } from "../i18n/language.ts";
import type { Settings } from "../model/settings.ts";

/** Apply all settings of the page, now and after each change. */
export function applySettings(settings: Settings): void {
  const { documentElement: root } = document;
  const show = (): void => {
    root.dataset.theme = settings.get("theme");
    root.style.fontSize = `${settings.get("textSize")}%`;
    root.dataset.shortcuts = settings.get("shortcuts") ? "on" : "off";
    root.dataset.motion = settings.get("reducedMotion") ? "reduced" : "full";
  };
  const showLanguage = (language: Language): void => {
    root.lang = language;
    document.title = text("world.name");
  };
  onLanguage(showLanguage);
  settings.onChange((name) => {
    if (name === "language") setLanguage(settings.get("language"));
    show();
  });
  show();
  showLanguage(settings.get("language"));
}
