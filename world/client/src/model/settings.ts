/** What the player has set in this browser. */

import type { Language } from "../i18n/language.ts";
import type { Quality } from "../scene/api.ts";
import { storedObject } from "./storage.ts";

const KEY = "byeolmaru.settings";
const TEXT_SIZES = [87.5, 100, 125, 150] as const;

export interface SettingValues {
  language: Language;
  quality: Quality;
  /** Whether the quality may be lowered without asking. */
  autoQuality: boolean;
  /** 0 is noon, 1 is late evening. */
  evening: number;
  /** Per cent of the browser's own size. */
  textSize: number;
  theme: "auto" | "dark" | "light";
  reducedMotion: boolean;
  /** Show the list instead of the 3D world. */
  list: boolean;
  chatOpen: boolean;
  /** Single letters and digits do something without a modifier. */
  shortcuts: boolean;
}

export type SettingName = keyof SettingValues;

export class Settings {
  #values: SettingValues;
  readonly #listeners = new Set<(name: SettingName) => void>();

  constructor(
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
    private readonly defaults: SettingValues,
  ) {
    this.#values = { ...defaults, ...valid(storedObject(storage, KEY)) };
  }

  get<Name extends SettingName>(name: Name): SettingValues[Name] {
    return this.#values[name];
  }

  set<Name extends SettingName>(name: Name, value: SettingValues[Name]): void {
    this.#values = { ...this.#values, [name]: value };
    this.storage.setItem(KEY, JSON.stringify(this.#values));
    for (const listener of this.#listeners) listener(name);
  }

  onChange(listener: (name: SettingName) => void): void {
    this.#listeners.add(listener);
  }

  /** Delete what is stored, and go back to the defaults. */
  forget(): void {
    this.storage.removeItem(KEY);
    this.#values = { ...this.defaults };
    for (const name of Object.keys(this.defaults) as SettingName[]) for (const listener of this.#listeners) listener(name);
  }
}

/** Keep only known values: the stored ones may come from another version of this client. */
function valid(stored: Record<string, unknown>): Partial<SettingValues> {
  const checks: { [Name in SettingName]: (value: unknown) => value is SettingValues[Name] } = {
    language: (value): value is Language => value === "ko" || value === "en",
    quality: (value): value is Quality => value === "low" || value === "medium" || value === "high",
    evening: (value): value is number => typeof value === "number" && value >= 0 && value <= 1,
    textSize: (value): value is number => (TEXT_SIZES as readonly unknown[]).includes(value),
    autoQuality: (value): value is boolean => typeof value === "boolean",
    theme: (value): value is SettingValues["theme"] => value === "auto" || value === "dark" || value === "light",
    reducedMotion: (value): value is boolean => typeof value === "boolean",
    list: (value): value is boolean => typeof value === "boolean",
    chatOpen: (value): value is boolean => typeof value === "boolean",
    shortcuts: (value): value is boolean => typeof value === "boolean",
  };
  const kept = Object.entries(stored).filter(([name, value]) => checks[name as SettingName]?.(value));
  return Object.fromEntries(kept) as Partial<SettingValues>;
}
