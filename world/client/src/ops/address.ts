/** Which part of the operators' page an address means. */

/** The pages that a login leads to, as the gateway also says: any other address may be somebody else's. */
const GOALS = /^\/ops(\/turn\/[\w-]{1,80}|\/conversation\?[\w.*~%&=+:-]{1,2000})?$/;
const TURN = /^\/ops\/turn\/([^/]+)$/;

export type Place = { is: "dashboard" } | { is: "login" } | { is: "turn"; id: string } | { is: "conversation"; id: string; at: Date };

/** Return what an address's path and query mean. */
export function placeOf(path: string, search = ""): Place {
  const turn = TURN.exec(path)?.[1];
  if (turn !== undefined) return { is: "turn", id: decoded(turn) };
  if (path === "/ops/conversation") return conversationFrom(new URLSearchParams(search));
  return path === "/ops/login" ? { is: "login" } : { is: "dashboard" };
}

function conversationFrom(query: URLSearchParams): Place {
  const id = query.get("id") ?? "";
  const at = new Date(query.get("at") ?? Number.NaN);
  if (id === "") return { is: "dashboard" };
  return { is: "conversation", id, at: Number.isNaN(at.getTime()) ? new Date() : at };
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
