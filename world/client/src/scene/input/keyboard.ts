/** What the keys ask for. */
export interface KeySink {
  jump(): void;
  talk(): void;
}

const AXES: Readonly<Record<string, readonly [right: number, forward: number]>> = {
  KeyW: [0, 1], ArrowUp: [0, 1], KeyS: [0, -1], ArrowDown: [0, -1],
  KeyA: [-1, 0], ArrowLeft: [-1, 0], KeyD: [1, 0], ArrowRight: [1, 0],
};

/**
 * Movement by keys. Keys are known by their place on the keyboard (`code`), as a Korean layout gives other letters, and
 * all are let go whenever the page or the world loses the keyboard.
 */
export class Keyboard {
  /** Whether keys move the avatar; not while someone types. */
  isEnabled = true;
  private readonly held = new Set<string>();
  private readonly sink: KeySink;
  private readonly stop = new AbortController();

  constructor(sink: KeySink) {
    this.sink = sink;
    const { signal } = this.stop;
    window.addEventListener("keydown", (event) => this.down(event), { signal });
    window.addEventListener("keyup", (event) => this.held.delete(event.code), { signal });
    window.addEventListener("blur", () => this.release(), { signal });
    document.addEventListener("visibilitychange", () => this.release(), { signal });
    document.addEventListener("focusin", (event) => {
      if (isField(event.target)) this.release();
    }, { signal });
  }

  /** The wanted direction: right and forward, each from -1 to 1. */
  get direction(): { right: number; forward: number } {
    let [right, forward] = [0, 0];
    for (const code of this.held) {
      const [addRight, addForward] = AXES[code] ?? [0, 0];
      right += addRight;
      forward += addForward;
    }
    return { right: Math.sign(right), forward: Math.sign(forward) };
  }

  /** Whether Shift asks to walk. */
  get walks(): boolean {
    return this.held.has("ShiftLeft") || this.held.has("ShiftRight");
  }

  /** Let go of all keys. */
  release(): void {
    this.held.clear();
  }

  dispose(): void {
    this.stop.abort();
  }

  private down(event: KeyboardEvent): void {
    const isForOthers = event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isField(event.target);
    if (!this.isEnabled || isForOthers) return;
    const isMove = event.code in AXES;
    // Space and Enter on a button belong to the button.
    const isOnControl = event.target instanceof Element && event.target.closest("button, a, summary, [role=menu]") !== null;
    if (isMove || event.code.startsWith("Shift")) this.held.add(event.code);
    if (isMove && !isOnControl) event.preventDefault();
    if (isOnControl || event.repeat) return;
    if (event.code === "Space") {
      event.preventDefault();
      this.sink.jump();
    } else if (event.code === "KeyE") {
      event.preventDefault();
      this.sink.talk();
    }
  }
}

/** Say whether someone types there. */
function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement
    && (target.isContentEditable || target.matches("input, textarea, select"));
}
