/** The HTTP side of the gateway: who this browser's guest is, and what bots have learned. */

import { REASONS, type BotId, type Reason } from "./messages.ts";

export interface Guest {
  id: string;
  name: string;
  store: boolean;
  learn: boolean;
  minor: boolean;
  /** Seconds since the epoch. */
  first_seen: number;
}

export interface WebPortal {
  ko: string;
  en: string;
  url: string;
  host: string;
}

export interface SessionInfo {
  guest: Guest | null;
  portals: WebPortal[];
}

export interface Consent {
  store: boolean;
  learn: boolean;
  minor: boolean;
}

export interface Book {
  bot: BotId;
  version: number;
  pairs: { question: string; answer: string }[];
}

/** The gateway refused a request. */
export class RequestRefused extends Error {
  constructor(
    readonly reason: Reason,
    readonly waitS: number,
  ) {
    super(reason);
  }
}

/** Return who this browser is, and where the web portals lead. */
export async function getSession(): Promise<SessionInfo> {
  const found = (await request("GET", "/session")) as Partial<SessionInfo>;
  return { guest: found.guest ?? null, portals: found.portals ?? [] };
}

/** Become a guest with this name and consent, or change both. */
export async function postSession(name: string, consent: Consent): Promise<Guest> {
  return ((await request("POST", "/session", { name, ...consent })) as { guest: Guest }).guest;
}

/** Make the gateway forget this browser's guest. */
export async function deleteSession(): Promise<void> {
  await request("DELETE", "/session");
}

/** Return what a bot has learned lately. */
export async function getBook(bot: BotId): Promise<Book> {
  return (await request("GET", `/learned/${bot}`)) as Book;
}

async function request(method: string, path: string, body?: object): Promise<unknown> {
  const answer = await reach(method, path, body);
  if (answer.status === 204) return null;
  const found: unknown = await answer.json().catch(() => null);
  if (answer.ok && found !== null) return found;
  throw refusal(found);
}

async function reach(method: string, path: string, body?: object): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      credentials: "same-origin",
      ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}),
    });
  } catch {
    throw new RequestRefused("unavailable", 0);
  }
}

function refusal(found: unknown): RequestRefused {
  const { reason, wait_s: waitS } = (found ?? {}) as { reason?: unknown; wait_s?: unknown };
  const known = REASONS.find((name) => name === reason) ?? "unavailable";
  return new RequestRefused(known, typeof waitS === "number" ? waitS : 0);
}
