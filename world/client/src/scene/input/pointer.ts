/** What pointers on the picture ask for. */
export interface PointerSink {
  /** Turn the camera by a drag in pixels. */
  turned(dx: number, dy: number): void;
  /** Zoom by a factor. */
  zoomed(factor: number): void;
  /** A click or tap, in pixels from the upper left of the picture. */
  tapped(x: number, y: number): void;
}

const TAP_MOST_PX = 7;
const TAP_MOST_MS = 450;

/** Drags, wheel, pinches and taps on the canvas. */
export class Pointers {
  private readonly canvas: HTMLCanvasElement;
  private readonly sink: PointerSink;
  private readonly stop = new AbortController();
  private readonly down = new Map<number, { x: number; y: number }>();
  private movedPx = 0;
  private downAtMs = 0;

  constructor(canvas: HTMLCanvasElement, sink: PointerSink) {
    this.canvas = canvas;
    this.sink = sink;
    const { signal } = this.stop;
    canvas.addEventListener("pointerdown", (event) => this.start(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.move(event), { signal });
    canvas.addEventListener("pointerup", (event) => this.end(event, true), { signal });
    canvas.addEventListener("pointercancel", (event) => this.end(event, false), { signal });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.sink.zoomed(Math.exp(Math.max(-0.3, Math.min(0.3, event.deltaY * 0.0012))));
    }, { signal, passive: false });
  }

  dispose(): void {
    this.stop.abort();
  }

  private start(event: PointerEvent): void {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (this.down.size === 0) [this.movedPx, this.downAtMs] = [0, event.timeStamp];
    else this.movedPx = Infinity;
    this.down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  private move(event: PointerEvent): void {
    const before = this.down.get(event.pointerId);
    if (!before) return;
    const spreadBefore = this.spread();
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    this.movedPx += Math.hypot(dx, dy);
    this.down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const spread = this.spread();
    if (spread > 0 && spreadBefore > 0) this.sink.zoomed(spreadBefore / spread);
    else if (this.movedPx > TAP_MOST_PX) this.sink.turned(dx, dy);
  }

  private end(event: PointerEvent, isUp: boolean): void {
    if (!this.down.delete(event.pointerId) || this.down.size > 0) return;
    const isTap = isUp && this.movedPx <= TAP_MOST_PX && event.timeStamp - this.downAtMs < TAP_MOST_MS;
    if (!isTap) return;
    const box = this.canvas.getBoundingClientRect();
    this.sink.tapped(event.clientX - box.left, event.clientY - box.top);
  }

  /** Distance between two fingers, 0 with fewer. */
  private spread(): number {
    const [a, b] = [...this.down.values()];
    return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  }
}
