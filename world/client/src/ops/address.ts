/** Which part of the operators' page an address means. */

/** The pages that a login leads to, as the gateway also says: any other address may be somebody else's. */
const GOALS = /^\/ops(\/turn\/[\w-]{1,80})?$/;
const TURN = /^\/ops\/turn\/([^/]+)$/;

export type Place = { is: "dashboard" } | { is: "login" } | { is: "turn"; id: string };

/** Return what an address's path means. */
export function placeOf(path: string): Place {
  const turn = TURN.exec(path)?.[1];
  if (turn !== undefined) return { is: "turn", id: decoded(turn) };
  return path === "/ops/login" ? { is: "login" } : { is: "dashboard" };
}

/** Return where to go after the login: to what was asked for, if that is a place of this page. */
export function afterLogin(search: string): string {
  const goal = new URLSearchParams(search).get("to") ?? "";
  return GOALS.test(goal) ? goal : "/ops";
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
