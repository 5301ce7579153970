/** The player's name, as far as it can be checked before it is sent. */

import { RequestRefused } from "../net/session.ts";

const LEAST_CHARS = 2;
const MOST_CHARS = 16;

/** Return the name as the gateway counts it; most wrong names need not be sent. */
export function checkedName(typed: string): string {
  const name = typed.normalize("NFC").trim().replace(/\s+/g, " ");
  const count = [...name].length;
  if (count < LEAST_CHARS || count > MOST_CHARS) throw new RequestRefused("name_length", 0);
  return name;
}
