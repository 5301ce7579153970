/** Asks the gateway. Every failure is an `OpsFailure`, which says what an operator can do. */

import type { DashboardInfo, Numbers, PanelData, Tabled } from "./apiTypes.ts";

export type Query = Readonly<Record<string, string>>;

/**
 * What went wrong: nobody is logged in, the name or password is wrong, too many tries, a server is away, there is no such
 * thing, the gateway cannot be reached, or something else.
 */
export type FailureKind = "login" | "credentials" | "rate" | "unavailable" | "missing" | "network" | "other";

export class OpsFailure extends Error {
  /**
   * @param detail what the gateway said; text of a server, in English.
   * @param waitS seconds until another try makes sense.
   */
  constructor(
    readonly kind: FailureKind,
    readonly detail = "",
    readonly waitS = 0,
  ) {
    super(`${kind}: ${detail}`);
  }
}

export class OpsApi {
  #onLoginNeeded: () => void = () => undefined;

  /** @param request sends a request, as `fetch` does. */
  constructor(private readonly request: typeof fetch = (url, options) => fetch(url, options)) {}

  /** Call a listener when the gateway says that nobody is logged in any more. */
  onLoginNeeded(listener: () => void): void {
    this.#onLoginNeeded = listener;
  }

  async login(user: string, password: string): Promise<void> {
    const body = JSON.stringify({ user, password });
    await this.#send("/ops/login", { method: "POST", body, headers: { "content-type": "application/json" } });
  }

  async logout(): Promise<void> {
    await this.#send("/ops/login", { method: "DELETE" });
  }

  me(): Promise<{ user: string }> {
    return this.#get("/ops/api/me", {}, undefined);
  }

  dashboard(): Promise<DashboardInfo> {
    return this.#get("/ops/api/dashboard", {}, undefined);
  }

  now(signal?: AbortSignal): Promise<Numbers> {
    return this.#get("/ops/api/now", {}, signal);
  }

  panel(id: string, query: Query, signal?: AbortSignal): Promise<PanelData> {
    return this.#get(`/ops/api/panel/${encodeURIComponent(id)}`, query, signal);
  }

  turns(query: Query, signal?: AbortSignal): Promise<Tabled> {
    return this.#get("/ops/api/turns", query, signal);
  }

  turn(id: string): Promise<unknown> {
    return this.#get(`/ops/api/turn/${encodeURIComponent(id)}`, {}, undefined);
  }

  replay(id: string, signal?: AbortSignal): Promise<unknown> {
    return this.#get(`/ops/api/turn/${encodeURIComponent(id)}/replay`, {}, signal);
  }

  async #get<Found>(path: string, query: Query, signal: AbortSignal | undefined): Promise<Found> {
    const asked = new URLSearchParams(query).toString();
    const response = await this.#send(asked === "" ? path : `${path}?${asked}`, signal ? { signal } : {});
    try {
      return (await response.json()) as Found;
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new OpsFailure("other", "the answer is not JSON");
    }
  }

  async #send(url: string, options: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await this.request(url, { credentials: "same-origin", cache: "no-store", ...options });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new OpsFailure("network");
    }
    if (response.ok) return response;
    const failure = failureOf(response.status, await bodyOf(response));
    if (failure.kind === "login") this.#onLoginNeeded();
    throw failure;
  }
}

/** Whether a request was given up by this page itself. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Return what a refused request means. */
export function failureOf(status: number, body: Readonly<Record<string, unknown>>): OpsFailure {
  const detail = [body["what"], body["reason"], body["detail"]].find((found) => typeof found === "string") as string | undefined;
  const waitS = typeof body["wait_s"] === "number" ? body["wait_s"] : 0;
  if (status === 401) return new OpsFailure(body["reason"] === "credentials" ? "credentials" : "login");
  if (status === 429) return new OpsFailure("rate", "", waitS);
  if (status === 404) return new OpsFailure("missing", detail);
  if (status === 503 || status === 502 || status === 504) return new OpsFailure("unavailable", detail ?? String(status));
  return new OpsFailure("other", detail ?? String(status));
}

async function bodyOf(response: Response): Promise<Readonly<Record<string, unknown>>> {
  try {
    const found: unknown = await response.json();
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
