/** Reads a list of turns as a conversation. */

import type { Cell, Tabled } from "../apiTypes.ts";

/** One question and its answer. */
export interface Exchange {
  turn: string;
  at: string;
  bot: string;
  /** 0 if no version served. */
  version: number;
  outcome: string;
  question: string;
  answer: string;
  latencyMs: number | null;
}

/** Return the turns of a list, in its order. What a row lacks is empty. */
export function exchangesOf({ columns, rows }: Tabled): Exchange[] {
  const places = new Map(columns.map(({ id }, place) => [id, place]));
  return rows.map((row) => {
    const value = (id: string): Cell => row[places.get(id) ?? -1] ?? null;
    const said = (id: string): string => String(value(id) ?? "");
    const latency = value("latency_ms");
    return {
      turn: said("turn_id"),
      at: said("received_at"),
      bot: said("bot"),
      version: Number(value("model_version") ?? 0),
      outcome: said("outcome"),
      question: said("text"),
      answer: said("answer"),
      latencyMs: typeof latency === "number" ? latency : null,
    };
  });
}
