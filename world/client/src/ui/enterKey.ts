/** Sends with one press of Enter, also while a Korean syllable is being composed.
 *
 * Browsers differ in the order of events: Chromium reports Enter during the composition, Safari after its end, and some
 * input methods report it twice. Each order gives exactly one message, because a second send finds an empty field. The
 * key code 229 is not tested: it would swallow Safari's Enter.
 */

/** The decisions, without a browser. */
export class EnterKey {
  #isComposing = false;
  #isPending = false;

  /**
   * @param send sends what the field holds; does nothing if it is empty.
   * @param nextTick runs an action after the browser has put the last syllable into the field.
   */
  constructor(
    private readonly send: () => void,
    private readonly nextTick: (action: () => void) => void,
  ) {}

  compositionStart(): void {
    this.#isComposing = true;
  }

  compositionEnd(): void {
    this.#isComposing = false;
    if (!this.#isPending) return;
    this.#isPending = false;
    this.nextTick(this.send);
  }

  enter(): void {
    if (this.#isComposing) this.#isPending = true;
    else this.send();
  }

  /** The field has lost the focus: nothing waits any more. */
  leave(): void {
    this.#isComposing = this.#isPending = false;
  }
}

/** Send with Enter in a field. */
export function sendOnEnter(field: HTMLInputElement | HTMLTextAreaElement, send: () => void): void {
  const key = new EnterKey(send, (action) => void setTimeout(action, 0));
  field.addEventListener("compositionstart", () => key.compositionStart());
  field.addEventListener("compositionend", () => key.compositionEnd());
  field.addEventListener("blur", () => key.leave());
  field.addEventListener("keydown", (event) => {
    if (!isEnter(event as KeyboardEvent) || (event as KeyboardEvent).shiftKey) return;
    event.preventDefault();
    key.enter();
  });
}

/** Screen keyboards leave `code` empty. */
function isEnter(event: KeyboardEvent): boolean {
  return event.code === "Enter" || event.code === "NumpadEnter" || (event.code === "" && event.key === "Enter");
}
