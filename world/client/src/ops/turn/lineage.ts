/** What the gateway says of one turn: the JSON of `kogpt2-chat lineage TURN_ID --json`. What is unknown is null. */

export interface KafkaPosition {
  topic: string;
  partition: number;
  offset: number;
}

export interface LineageTurn {
  turn_id: string;
  question_id: string;
  bot: string;
  player_id: string;
  sender: string;
  session_id: string | null;
  /** What the search index calls the conversation of the turn. */
  conversation?: string | null;
  source: string;
  worker: string;
  epoch: number;
  sent_at: string | null;
  received_at: string;
  answered_at: string;
  latency_ms: number;
  question: string | null;
  answer: string | null;
  /** `model`, or what replaced its answer. */
  outcome: string;
  /** 0 if no version served. */
  model_version: number;
  /** The known question whose answer the player got. */
  nearest: { question: string; source: string | null; likeness: number | null } | null;
  found_in: string;
  kafka_ms?: number | null;
  queue_ms?: number | null;
  decode_ms?: number | null;
  return_ms?: number | null;
}

export interface GateReason {
  block: string;
  rule: string;
  value: number | null;
  threshold: number | null;
  passed: boolean;
  blocking: boolean;
  sentence: string;
  baseline: number | null;
}

export interface RecordedConsent {
  train: boolean | null;
  minor: boolean;
  authenticated: boolean;
}

export interface NearestRow {
  question: string;
  answer: string;
  kind: string;
  topic: string;
  split: string;
  row_hash: string;
  /** Turns that the row was made from. */
  sources: string[];
  player_id: string | null;
  likeness: number;
  consent: { asker: RecordedConsent | null; teacher: RecordedConsent | null };
}

export interface Learner {
  bot: string;
  version: number;
  aliases: string[];
  dataset: string;
  how: string;
  gate: string;
}

export type Counts = Readonly<Record<string, unknown>>;

export interface Lineage {
  turn: LineageTurn;
  positions: { question: KafkaPosition; log: KafkaPosition | null };
  consent: { store: boolean; train: boolean; minor: boolean; authenticated: boolean };
  version: { bot: string; version: number; aliases: string[]; registered_at: string; tags: Counts; url: string } | null;
  run: { run_id: string; url: string; started_at: string; ended_at: string } | null;
  dataset: {
    dataset: string;
    created_at: string;
    previous: string | null;
    counts: Counts;
    sources: Counts;
    rejects: Counts;
    rules: Counts;
    new_pairs: number;
    withdrawn_pairs: number;
    seeds_superseded: number;
    distrusted: Counts;
  } | null;
  gate: {
    result: string;
    summary: string;
    baseline: string | null;
    profile: string | null;
    url: string;
    blocks: { block: string; passed: boolean }[];
    reasons: GateReason[];
  } | null;
  nearest_rows: NearestRow[];
  learned_by: Learner[];
  notes: string[];
}

/** One part of the time that a player waited. */
export interface Wait {
  part: "kafka" | "queue" | "decode" | "return" | "worker";
  ms: number;
}

/** Return the parts of the waiting time that are known, in their order. Older turns only know the worker's own time. */
export function waitsOf(turn: LineageTurn): Wait[] {
  const parts: [Wait["part"], number | null | undefined][] = [
    ["kafka", turn.kafka_ms],
    ["queue", turn.queue_ms],
    ["decode", turn.decode_ms],
    ["return", turn.return_ms],
  ];
  const known = parts.flatMap(([part, ms]): Wait[] => (typeof ms === "number" ? [{ part, ms: Math.max(0, ms) }] : []));
  const isSplit = known.some(({ part }) => part === "queue" || part === "decode");
  return isSplit ? known : [...known.filter(({ part }) => part === "kafka"), { part: "worker", ms: turn.latency_ms }, ...known.filter(({ part }) => part === "return")];
}

/** What `kogpt2-chat explain TURN_ID --json` prints of the replay. */
export interface Explanation {
  exact_prompt: boolean | null;
  prompt: { token_id: number; piece: string | null }[];
  replay: {
    answer: string;
    stop_reason: string;
    verdict: string;
    compared: number;
    difference: { step: number; stored: Choice; replayed: Choice; margin: number } | null;
    steps: { number: number; chosen: Choice; choices: Choice[]; stored: Choice | null }[];
  } | null;
  changes: { rule: string; why: string; before: string; after: string }[];
  notes: string[];
}

export interface Choice {
  token_id: number;
  piece: string;
  probability: number;
}
