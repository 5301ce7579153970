/** Reads the colours of charts from the page's style, so that both themes have their own. */

import type { Ink } from "./series.ts";

const SERIES = 8;

export function inkOf(element: HTMLElement): Ink {
  const style = getComputedStyle(element);
  const value = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: value("ink"),
    soft: value("ink-soft"),
    line: value("line"),
    panel: value("panel-solid"),
    font: value("font"),
    series: Array.from({ length: SERIES }, (_, index) => value(`series-${index + 1}`)),
  };
}
