/** Chooses the layout for phones and other touch screens, whose lower corners belong to the joystick and the jump button. */

/** Choose the layout now, when the window changes, and once a finger has touched the screen. */
export function followLayout(): void {
  const small = matchMedia("(max-width: 47.5rem), (pointer: coarse)");
  let isTouched = false;
  const show = (): void => void document.body.classList.toggle("compact", small.matches || isTouched);
  small.addEventListener("change", show);
  window.addEventListener(
    "touchstart",
    () => {
      isTouched = true;
      show();
    },
    { once: true, passive: true },
  );
  show();
}
