/** The keys of the page. They are places on the keyboard, so that a Korean layout changes nothing. */

import { EMOTES } from "../net/messages.ts";
import type { EmoteKind } from "../scene/api.ts";
import { isDialogOpen } from "./dialog.ts";

export interface KeyActions {
  chat(): void;
  world(): void;
  stepThrough(): void;
  emote(kind: EmoteKind): void;
  people(): void;
  view(): void;
  help(): void;
  /** Whether single letters and digits do something. */
  areShortcutsOn(): boolean;
}

/** Listen to the keys. */
export function listenToKeys(isActive: () => boolean, actions: KeyActions): void {
  document.addEventListener("keydown", (event) => {
    if (!isActive() || isDialogOpen() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === "Escape") actions.world();
    else if (isTyping() || event.repeat) return;
    else if (isEnter(event) && !isOnControl()) act(event, actions.chat);
    else if (actions.areShortcutsOn()) actionOf(event.code, actions)?.();
  });
}

/** Return whether what the player types goes into a field. */
export function isTyping(): boolean {
  const focused = document.activeElement;
  return (
    focused instanceof HTMLTextAreaElement ||
    focused instanceof HTMLSelectElement ||
    (focused instanceof HTMLInputElement && focused.type !== "checkbox" && focused.type !== "radio")
  );
}

function actionOf(code: string, actions: KeyActions): (() => void) | undefined {
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
  const kind = digit === undefined ? undefined : EMOTES[Number(digit) - 1];
  if (kind) return () => actions.emote(kind);
  const byCode: Readonly<Record<string, () => void>> = {
    KeyF: actions.stepThrough,
    KeyP: actions.people,
    KeyL: actions.view,
    KeyH: actions.help,
  };
  return byCode[code];
}

function act(event: KeyboardEvent, action: () => void): void {
  event.preventDefault(); // The same press would otherwise also send or click.
  action();
}

function isEnter(event: KeyboardEvent): boolean {
  return event.code === "Enter" || event.code === "NumpadEnter";
}

/** Return whether Enter already does something on the focused element. */
function isOnControl(): boolean {
  return document.activeElement?.matches("button, a, input, select, textarea, summary") ?? false;
}
