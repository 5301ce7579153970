/** What the operator has set in this browser, and whether this browser is an operator's. */

import { preferredLanguage, type Language } from "../i18n/language.ts";
import { storedObject, type KeyValueStorage } from "../model/storage.ts";

export type Theme = "auto" | "dark" | "light";

const KEY = "byeolmaru.ops";

export interface OpsValues {
  language: Language;
  theme: Theme;
}

export class OpsSettings {
  #values: OpsValues;

  constructor(
    private readonly storage: KeyValueStorage,
    languages: readonly string[],
  ) {
    const { language, theme } = storedObject(storage, KEY);
    this.#values = {
      language: language === "ko" || language === "en" ? language : preferredLanguage(languages),
      theme: theme === "dark" || theme === "light" ? theme : "auto",
    };
  }

  get<Name extends keyof OpsValues>(name: Name): OpsValues[Name] {
    return this.#values[name];
  }

  set<Name extends keyof OpsValues>(name: Name, value: OpsValues[Name]): void {
    this.#values = { ...this.#values, [name]: value };
    this.storage.setItem(KEY, JSON.stringify(this.#values));
  }
}
