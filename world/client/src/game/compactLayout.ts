/** Chooses the layout for phones and other touch screens, whose lower corners belong to the joystick and the jump button.
 *
 * Also a large screen is too small for the other layout if the text is large, which media queries do not see.
 */

const LEAST_WIDTH_REM = 60;

/** Return a function that chooses the layout; call it after the text size has changed. */
export function followLayout(): () => void {
  const coarse = matchMedia("(pointer: coarse)");
  let isTouched = false;
  const show = (): void => {
    const remPx = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const isNarrow = window.innerWidth < LEAST_WIDTH_REM * remPx;
    document.body.classList.toggle("compact", isNarrow || coarse.matches || isTouched);
  };
  const touched = (): void => {
    isTouched = true;
    show();
  };
  coarse.addEventListener("change", show);
  window.addEventListener("resize", show);
  window.addEventListener("touchstart", touched, { once: true, passive: true });
  show();
  return show;
}
