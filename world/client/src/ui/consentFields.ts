/** The choice of what may be stored and learned. Nothing is ticked beforehand. */

import type { Consent } from "../net/session.ts";
import { fix, localize } from "../i18n/localize.ts";
import { checkbox, h } from "./dom.ts";

export class ConsentFields {
  readonly element: HTMLElement;
  readonly #store = checkbox("door.store", "door.storeAbout");
  readonly #learn = checkbox("door.learn", "door.learnAbout");
  readonly #minor = checkbox("door.minor", "door.minorAbout");
  readonly #why = h("p", { class: "why", attributes: { role: "status" } });

  /** @param withMinor whether the player may also say that it is a minor: only at the door. */
  constructor(
    initial: Consent,
    private readonly withMinor: boolean,
  ) {
    this.#store.box.checked = initial.store;
    this.#learn.box.checked = initial.learn;
    this.#minor.box.checked = initial.minor;
    this.element = h(
      "fieldset",
      { class: "consent" },
      h("legend", { text: "door.consent" }),
      h("p", { class: "hint", text: "door.consentHint" }),
      this.#store.element,
      this.#learn.element,
      this.#why,
      ...(withMinor ? [this.#minor.element] : []),
    );
    for (const { box } of [this.#store, this.#learn, this.#minor]) box.addEventListener("change", () => this.#agree());
    this.#agree();
  }

  get value(): Consent {
    return { store: this.#store.box.checked, learn: this.#learn.box.checked, minor: this.#minor.box.checked };
  }

  onChange(listener: (consent: Consent) => void): void {
    this.element.addEventListener("change", () => listener(this.value));
  }

  /** Minors cannot agree by themselves, and nothing can be learned from what is not stored. */
  #agree(): void {
    const isMinor = this.#minor.box.checked;
    allow(this.#store, !isMinor);
    allow(this.#learn, !isMinor && this.#store.box.checked);
    if (isMinor) localize(this.#why, "consent.minor");
    else fix(this.#why, "");
    this.#minor.element.hidden = !this.withMinor;
  }
}

function allow({ box, element }: ReturnType<typeof checkbox>, isAllowed: boolean): void {
  box.disabled = !isAllowed;
  if (!isAllowed) box.checked = false;
  element.classList.toggle("disabled", !isAllowed);
}
