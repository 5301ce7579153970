/** What end-to-end tests may look at, as `window.__ops`: a chart is a picture, which has no parts to be found. */

import type { Dashboard } from "./dashboard/dashboard.ts";

declare global {
  interface Window {
    __ops?: { placeOf(panel: string, series: number, index: number): [number, number] | null };
  }
}

/** Install the hook. */
export function installTestHook(dashboard: () => Dashboard | null): void {
  window.__ops = { placeOf: (panel, series, index) => dashboard()?.placeOf(panel, series, index) ?? null };
}
