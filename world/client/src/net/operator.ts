/** Whether an operator uses this browser: only then do the bots' answers lead to their records. */

import type { KeyValueStorage } from "../model/storage.ts";

const KEY = "byeolmaru.operator";

/** Keep whether an operator is logged in. It opens nothing: the gateway checks the login itself. */
export function noteOperator(storage: KeyValueStorage, isIn: boolean): void {
  if (isIn) storage.setItem(KEY, "1");
  else storage.removeItem(KEY);
}

/**
 * Return whether an operator is logged in. The gateway is only asked where somebody has been: it refuses everybody else.
 *
 * @param request sends a request, as `fetch` does.
 */
export async function isOperator(storage: KeyValueStorage, request: typeof fetch = (url, options) => fetch(url, options)): Promise<boolean> {
  if (storage.getItem(KEY) !== "1") return false;
  try {
    const { ok, status } = await request("/ops/api/me", { credentials: "same-origin", cache: "no-store" });
    if (status === 401) noteOperator(storage, false);
    return ok;
  } catch {
    return false;
  }
}
