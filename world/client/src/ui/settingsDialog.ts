/** The settings. */

import type { Game } from "../game/game.ts";
import type { SceneHolder } from "../game/sceneHolder.ts";
import type { TextKey } from "../i18n/ko.ts";
import type { Settings, SettingValues } from "../model/settings.ts";
import { RequestRefused } from "../net/session.ts";
import type { Quality } from "../scene/api.ts";
import { ConsentFields } from "./consentFields.ts";
import { confirmDialog, openDialog, type Dialog } from "./dialog.ts";
import { button, checkbox, field, freeId, h } from "./dom.ts";
import { languageSwitch } from "./languageSwitch.ts";
import { LookPicker } from "./lookPicker.ts";
import { refusalText } from "./names.ts";
import { listedPlayers } from "./people/listedPlayers.ts";

export interface SettingsActions {
  /** Go out to the door. */
  leave(): void;
  /** Forget this browser's guest. */
  forget(): void;
}

/** Open the settings. */
export function settingsDialog(game: Game, scene: SceneHolder, actions: SettingsActions): void {
  const change = button({ text: "settings.looks", onClick: () => looksDialog(game, scene) });
  const dialog = openDialog(
    "settings.title",
    [
      languageSwitch((language) => game.settings.set("language", language)),
      viewPart(game),
      h("section", {}, h("h3", { text: "door.looks" }), change),
      consentPart(game),
      peoplePart(game),
      endPart(actions, () => dialog.close()),
    ],
    { class: "settings" },
  );
}

function viewPart({ settings }: Game): HTMLElement {
  const motion = checkbox("settings.motion");
  motion.box.checked = settings.get("reducedMotion");
  motion.box.addEventListener("change", () => settings.set("reducedMotion", motion.box.checked));
  const shortcuts = checkbox("settings.shortcuts", "settings.shortcutsAbout");
  shortcuts.box.checked = settings.get("shortcuts");
  shortcuts.box.addEventListener("change", () => settings.set("shortcuts", shortcuts.box.checked));
  return h(
    "section",
    {},
    h("h3", { text: "settings.view" }),
    field("settings.textSize", choice(settings.get("textSize"), TEXT_SIZES, (size) => settings.set("textSize", size))),
    field("settings.theme", choice(settings.get("theme"), THEMES, (theme) => settings.set("theme", theme))),
    field("settings.quality", qualityChoice(settings)),
    eveningField(settings),
    motion.element,
    shortcuts.element,
  );
}

/** Once the player has chosen, the quality is not lowered any more without asking. */
function qualityChoice(settings: Settings): HTMLSelectElement {
  return choice(settings.get("quality"), QUALITIES, (quality) => {
    settings.set("autoQuality", false);
    settings.set("quality", quality);
  });
}

const TEXT_SIZES: readonly [number, TextKey][] = [
  [87.5, "settings.textSmall"],
  [100, "settings.textNormal"],
  [125, "settings.textLarge"],
  [150, "settings.textHuge"],
];
const THEMES: readonly [SettingValues["theme"], TextKey][] = [
  ["auto", "settings.themeAuto"],
  ["dark", "settings.themeDark"],
  ["light", "settings.themeLight"],
];
const QUALITIES: readonly [Quality, TextKey][] = [
  ["low", "settings.low"],
  ["medium", "settings.medium"],
  ["high", "settings.high"],
];

function choice<Value extends string | number>(
  present: Value,
  values: readonly [Value, TextKey][],
  choose: (value: Value) => void,
): HTMLSelectElement {
  const select = h("select");
  for (const [value, text] of values) select.append(h("option", { text, attributes: { value: String(value) } }));
  select.value = String(present);
  select.addEventListener("change", () => {
    const chosen = values.find(([value]) => String(value) === select.value);
    if (chosen) choose(chosen[0]);
  });
  return select;
}

function eveningField(settings: Settings): HTMLElement {
  const id = freeId("evening");
  const range = h("input", { id, attributes: { type: "range", min: "0", max: "1", step: "0.05" } });
  range.value = String(settings.get("evening"));
  range.addEventListener("input", () => settings.set("evening", range.valueAsNumber));
  return h(
    "div",
    { class: "field" },
    h("label", { text: "settings.evening", attributes: { for: id } }),
    h("div", { class: "range" }, h("span", { class: "hint", text: "settings.day" }), range, h("span", { class: "hint", text: "settings.night" })),
  );
}

function consentPart(game: Game): HTMLElement {
  const { me } = game.model;
  const status = h("p", { class: "status", attributes: { role: "status" } });
  const fields = new ConsentFields({ store: me?.store ?? false, learn: me?.learn ?? false, minor: me?.minor ?? false }, false);
  fields.onChange(({ store, learn }) => {
    game.consent(store, learn).then(
      () => (status.textContent = ""),
      (error: unknown) => (status.textContent = whyRefused(error)),
    );
  });
  return h("section", {}, h("h3", { text: "settings.consent" }), fields.element, status);
}

function whyRefused(error: unknown): string {
  return error instanceof RequestRefused ? refusalText(error.reason, error.waitS) : refusalText("unavailable", 0);
}

/** Whom the player does not want to hear, to change that. */
function peoplePart(game: Game): HTMLElement {
  return h(
    "section",
    {},
    h("h3", { text: "settings.blocked" }),
    listedPlayers(game.blocked, "settings.blockedNone", { text: "people.unblockShort", label: "people.unblock" }, (player) => game.block(player, false)),
    h("h3", { text: "settings.muted" }),
    listedPlayers(game.muted, "settings.mutedNone", { text: "people.unmuteShort", label: "people.unmuteName" }, (player) => game.muted.set(player, false)),
  );
}

function endPart(actions: SettingsActions, close: () => void): HTMLElement {
  const closeThen = (action: () => void) => (): void => {
    close();
    action();
  };
  const forget = (): void => confirmDialog("door.forgetAsk", "door.forgetAbout", "door.forget", closeThen(actions.forget));
  return h(
    "section",
    { class: "actions start" },
    button({ text: "settings.leave", onClick: closeThen(actions.leave) }),
    button({ class: "danger", text: "door.forget", onClick: forget }),
  );
}

function looksDialog(game: Game, scene: SceneHolder): void {
  const picker = new LookPicker(game.look, (canvas, look) => scene.preview(canvas, look), () => undefined);
  const save = (): void => {
    game.dress(picker.look);
    dialog.close();
  };
  const dialog: Dialog = openDialog("settings.looks", [
    picker.element,
    h("div", { class: "actions" }, button({ text: "cancel", onClick: () => dialog.close() }), button({ class: "primary", text: "settings.looksSave", onClick: save })),
  ]);
}
