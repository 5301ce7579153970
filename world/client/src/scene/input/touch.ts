/** A joystick and a jump button for touch screens; they show once a finger is likely. */
export class TouchControls {
  /** The wanted direction: right and forward, each from -1 to 1. */
  readonly direction = { right: 0, forward: 0 };
  private readonly stick = document.createElement("div");
  private readonly knob = document.createElement("div");
  private readonly button = document.createElement("button");
  private readonly stop = new AbortController();
  private pointer: number | null = null;

  constructor(parent: HTMLElement, jumpText: string, jump: () => void) {
    this.stick.className = "joystick";
    this.stick.setAttribute("aria-hidden", "true");
    this.knob.className = "joystick-knob";
    this.stick.append(this.knob);
    this.button.className = "jump-button";
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.textContent = jumpText;
    this.show(window.matchMedia("(pointer: coarse)").matches);
    parent.append(this.stick, this.button);
    this.listen(jump);
  }

  /** Let go, and take no touches while typing. */
  enabled(enabled: boolean): void {
    this.stick.style.pointerEvents = this.button.style.pointerEvents = enabled ? "auto" : "none";
    if (!enabled) this.release();
  }

  /** Let go of the stick. */
  release(): void {
    this.pointer = null;
    this.direction.right = this.direction.forward = 0;
    this.knob.style.transform = "";
  }

  dispose(): void {
    this.stop.abort();
    this.stick.remove();
    this.button.remove();
  }

  private show(visible: boolean): void {
    this.stick.style.display = this.button.style.display = visible ? "" : "none";
  }

  private listen(jump: () => void): void {
    const { signal } = this.stop;
    window.addEventListener("touchstart", () => this.show(true), { signal, passive: true, once: true });
    window.addEventListener("blur", () => this.release(), { signal });
    this.button.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      jump();
    }, { signal });
    this.stick.addEventListener("pointerdown", (event) => {
      this.pointer = event.pointerId;
      this.stick.setPointerCapture(event.pointerId);
      this.drag(event);
    }, { signal });
    this.stick.addEventListener("pointermove", (event) => {
      if (event.pointerId === this.pointer) this.drag(event);
    }, { signal });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
      this.stick.addEventListener(end, () => this.release(), { signal });
    }
  }

  private drag(event: PointerEvent): void {
    const box = this.stick.getBoundingClientRect();
    const reach = box.width / 2;
    let x = (event.clientX - box.left - reach) / reach;
    let y = (event.clientY - box.top - reach) / reach;
    const length = Math.hypot(x, y);
    if (length > 1) [x, y] = [x / length, y / length];
    this.knob.style.transform = `translate(${x * reach * 0.6}px, ${y * reach * 0.6}px)`;
    const isIdle = length < 0.15;
    this.direction.right = isIdle ? 0 : x;
    this.direction.forward = isIdle ? 0 : -y;
  }
}
