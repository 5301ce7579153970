/** The operators' page without a browser: what it asks for, what it makes of the answers, and how it writes numbers. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { language, setLanguage, text, useTexts } from "../src/i18n/language.ts";
import { isOperator, noteOperator } from "../src/net/operator.ts";
import { afterLogin, placeOf } from "../src/ops/address.ts";
import { failureOf, OpsApi, OpsFailure } from "../src/ops/api.ts";
import { isEmpty } from "../src/ops/apiTypes.ts";
import { chartOptions } from "../src/ops/chart/options.ts";
import { arranged, coloursOf, intervalAt, intervalsOf, isAlone, mixed, withRoom, type ChartInput, type Ink } from "../src/ops/chart/series.ts";
import { Names } from "../src/ops/context.ts";
import { exchangesOf } from "../src/ops/conversation/exchanges.ts";
import { conversationAddress, isWebAddress, turnAddress } from "../src/ops/dom.ts";
import { axis, bytes, cell, coded, interval, milliseconds, number, share, tick, zone } from "../src/ops/format.ts";
import { customRange, endsOf, localInput, queryOf, searchOf, viewFrom } from "../src/ops/ranges.ts";
import { Refresher } from "../src/ops/refresher.ts";
import { OpsSettings } from "../src/ops/settings.ts";
import { TEXTS } from "../src/ops/texts/opsTexts.ts";
import { waitsOf, type LineageTurn } from "../src/ops/turn/lineage.ts";

const HOUR_MS = 3_600_000;
const NOW = new Date("2026-11-27T10:00:00Z");

beforeEach(() => useTexts(TEXTS));
afterEach(() => setLanguage("ko"));

test("both languages have the same keys with the same values to fill in", () => {
  const namesIn = (pattern: string): string[] => [...pattern.matchAll(/\{(\w+)(?:\|[^}]+)?\}/g)].map((match) => match[1] ?? "").sort();
  expect(Object.keys(TEXTS.en)).toEqual(Object.keys(TEXTS.ko));
  for (const key of Object.keys(TEXTS.ko) as (keyof typeof TEXTS.ko)[]) {
    expect(namesIn(TEXTS.en[key]), key).toEqual(namesIn(TEXTS.ko[key]));
    expect(TEXTS.en[key], key).not.toMatch(/[가-힣]/);
    expect(TEXTS.ko[key].trim(), key).not.toBe("");
  }
});

test("every text is used", () => {
  const files = import.meta.glob<string>(["../src/ops/**/*.ts", "!../src/ops/texts/**", "../src/ui/{dialog,languageSwitch}.ts"], {
    query: "?raw", import: "default", eager: true,
  });
  const source = Object.values(files).join("\n");
  const isUsed = (key: string): boolean => {
    const prefix = key.slice(0, key.lastIndexOf("."));
    return source.includes(`"${key}"`) || source.includes(`\`${prefix}.$\{`) || source.includes(`coded("${prefix}"`) || source.includes(`: "${prefix}"`);
  };
  expect(Object.keys(TEXTS.ko).filter((key) => !isUsed(key))).toEqual([]);
});

test.each([
  ["/ops", { is: "dashboard" }],
  ["/ops/", { is: "dashboard" }],
  ["/ops/login", { is: "login" }],
  ["/ops/turn/bot_question-1-42", { is: "turn", id: "bot_question-1-42" }],
  ["/ops/turn/a%2Fb", { is: "turn", id: "a/b" }],
  ["/ops/turn/%", { is: "turn", id: "%" }],
  ["/ops/conversation?at=2026-11-27T10:00:00Z", { is: "dashboard" }],
  ["/ops/conversation?id=a%2Fb&at=2026-11-27T10:00:00Z", { is: "conversation", id: "a/b", at: NOW }],
])("the address %s means a place", (address, place) => {
  const [path = "", search] = address.split("?");
  expect(placeOf(path, search)).toEqual(place);
});

test("a conversation without a readable time is that of now, and its address can be read again", () => {
  vi.useFakeTimers({ now: NOW });
  expect(placeOf("/ops/conversation", "?id=x&at=soon")).toEqual({ is: "conversation", id: "x", at: NOW });
  vi.useRealTimers();
  const id = "손님 #1&at=<b>?";
  const { pathname, search, hash } = new URL(conversationAddress(id, NOW.toISOString(), "bot_question-1-42"), "http://a");
  expect(placeOf(pathname, search)).toEqual({ is: "conversation", id, at: NOW });
  expect(hash).toBe("#bot_question-1-42");
  expect(afterLogin(`?${new URLSearchParams({ to: pathname + search })}`)).toBe(pathname + search);
});

test("a list of turns is a conversation, whatever the order of its columns", () => {
  const columns = ["turn_id", "text", "answer", "latency_ms", "model_version"].map((id) => ({ id, title: { ko: id, en: id }, kind: "text" as const }));
  const [found] = exchangesOf({ columns, rows: [["bot_question-1-42", "안녕?", null, 12, 3]] });
  expect(found).toEqual({ turn: "bot_question-1-42", at: "", bot: "", version: 3, outcome: "", question: "안녕?", answer: "", latencyMs: 12 });
});

test.each([
  ["?to=/ops/turn/bot_question-1-42", "/ops/turn/bot_question-1-42"],
  ["?to=//evil.example/ops", "/ops"],
  ["?to=/ops/conversation", "/ops"],
  ["?to=/ops/conversation?id=%0A//evil.example", "/ops"],
  ["?to=https://evil.example", "/ops"],
  ["?to=javascript:alert(1)", "/ops"],
  ["?to=/ops/turn/../../x", "/ops"],
  ["", "/ops"],
])("the login %s leads only to places of the page", (search, goal) => {
  expect(afterLogin(search)).toBe(goal);
});

test.each([
  [401, { reason: "login" }, "login", ""],
  [401, { reason: "credentials" }, "credentials", ""],
  [503, { reason: "unavailable", what: "Elasticsearch is away" }, "unavailable", "Elasticsearch is away"],
  [404, { reason: "not_found", what: "no such turn" }, "missing", "no such turn"],
  [400, { reason: "parameter", what: "from: expected a time" }, "other", "from: expected a time"],
  [500, {}, "other", "500"],
])("a refusal with status %i says what is wrong", (status, body, kind, detail) => {
  expect(failureOf(status, body)).toMatchObject({ kind, detail });
});

test("a page that is no longer logged in is told so, and what it asked for is a query", async () => {
  const request = vi.fn<typeof fetch>(() => Promise.resolve(new Response('{"reason":"login"}', { status: 401 })));
  const needed = vi.fn();
  const api = new OpsApi(request);
  api.onLoginNeeded(needed);
  await expect(api.panel("a/b", { from: "2026", bot: "ChatbotA" })).rejects.toMatchObject({ kind: "login" });
  expect(request.mock.calls[0]?.[0]).toBe("/ops/api/panel/a%2Fb?from=2026&bot=ChatbotA");
  expect(needed).toHaveBeenCalledTimes(1);
});

test("wrong credentials do not end a login, and too many tries say how long to wait", async () => {
  const answers = [new Response('{"reason":"credentials"}', { status: 401 }), new Response('{"reason":"rate","wait_s":7}', { status: 429 })];
  const needed = vi.fn();
  const api = new OpsApi(() => Promise.resolve(answers.shift() as Response));
  api.onLoginNeeded(needed);
  await expect(api.login("operator", "no")).rejects.toMatchObject({ kind: "credentials" });
  await expect(api.login("operator", "no")).rejects.toMatchObject({ kind: "rate", waitS: 7 });
  expect(needed).not.toHaveBeenCalled();
});

test("a gateway that cannot be reached, or does not answer JSON, is a failure", async () => {
  await expect(new OpsApi(() => Promise.reject(new TypeError("offline"))).me()).rejects.toMatchObject({ kind: "network" });
  await expect(new OpsApi(() => Promise.resolve(new Response("<html>"))).me()).rejects.toBeInstanceOf(OpsFailure);
});

test("a view is kept in the address", () => {
  expect(viewFrom("")).toEqual({ range: "24h", bot: "" });
  expect(viewFrom("?range=7d&bot=ChatbotB")).toEqual({ range: "7d", bot: "ChatbotB" });
  expect(viewFrom("?range=constructor")).toEqual({ range: "24h", bot: "" });
  expect(viewFrom("?from=2026-11-02T00:00Z&to=2026-11-01T00:00Z")).toEqual({ range: "24h", bot: "" });
  const custom = { range: { from: new Date("2026-11-01T00:00Z"), to: NOW }, bot: "ChatbotA" };
  expect(viewFrom(searchOf(custom))).toEqual(custom);
});

test("a range ends now, at a multiple of five seconds, and a bot narrows it", () => {
  const { from, to } = endsOf("1h", new Date("2026-11-27T10:00:01.234Z"));
  expect(to.toISOString()).toBe("2026-11-27T10:00:05.000Z");
  expect(to.getTime() - from.getTime()).toBe(HOUR_MS);
  expect(queryOf({ from, to }, "")).toEqual({ from: "2026-11-27T09:00:05.000Z", to: "2026-11-27T10:00:05.000Z" });
  expect(queryOf({ from, to }, "ChatbotC")).toMatchObject({ bot: "ChatbotC" });
});

test("fields for times are read as they are written", () => {
  expect(customRange(localInput(new Date("2026-03-01T09:05")), localInput(new Date("2026-03-02T00:00")))).toEqual({
    from: new Date("2026-03-01T09:05"), to: new Date("2026-03-02T00:00"),
  });
  expect(customRange("", "2026-03-02T00:00")).toBeNull();
  expect(customRange("2026-03-02T00:00", "2026-03-02T00:00")).toBeNull();
});

test("numbers, shares and times follow the language", () => {
  expect([number(1234567), number(12.345), share(0.1234)]).toEqual(["1,234,567", "12.3", "12.3%"]);
  expect([milliseconds(320), milliseconds(1510), bytes(2048)]).toEqual(["320 ms", "1.51초", "2 KB"]);
  expect(axis(120_000, "turns")).toBe("12만");
  setLanguage("en");
  expect(milliseconds(1510)).toBe("1.51 s");
  expect(axis(120_000, "turns")).toBe("120k");
  expect(axis(0.5, "share")).toBe("50%");
});

test("cells have the form of their kind, and nothing is a dash", () => {
  expect([cell(null, "number"), cell("", "text"), cell(0, "number"), cell(true, "text")]).toEqual(["–", "–", "0", "예"]);
  expect(cell("<b>x</b>", "text")).toBe("<b>x</b>");
  expect(cell("yesterday", "time")).toBe("yesterday");
  expect(cell(0.25, "share")).toBe("25%");
});

test("ticks are as short as the range allows, and the zone is named", () => {
  const at = new Date(2026, 10, 27, 14, 30);
  expect(tick(at, 24 * HOUR_MS)).toBe("14:30");
  expect(tick(new Date(2026, 10, 27), 24 * HOUR_MS)).toContain("27");
  expect(tick(at, 30 * 24 * HOUR_MS)).not.toContain(":");
  expect(tick(at, 500 * 24 * HOUR_MS)).toContain("2026");
  expect(zone()).not.toBe("");
  setLanguage("en");
  expect(interval(at, new Date(2026, 10, 27, 15, 30))).toBe("27 Nov, 14:30–15:30");
  expect(interval(new Date(2026, 10, 27), new Date(2026, 10, 28))).toBe("27 Nov 2026");
});

test("codes have texts; what has none is shown as it is, whatever it looks like", () => {
  expect(coded("ops.outcome", "nearest")).toBe(text("ops.outcome.nearest"));
  for (const code of ["{value}", "{constructor|이/가}", "<b>", "__proto__"]) expect(coded("ops.outcome", code)).toBe(code);
});

test("a series is called by its bot or by its code", () => {
  const names = new Names([{ id: "ChatbotA", name: "마루" }, { id: "ChatbotX", name: { ko: "엑스", en: "Ex" } }]);
  expect(names.series({ name: "ChatbotA", key: { bot: "ChatbotA" }, values: [] })).toBe("마루");
  expect(names.series({ name: "nearest", key: { outcome: "nearest", bot: "ChatbotA" }, values: [] })).toBe(text("ops.outcome.nearest"));
  expect(names.series({ name: "x", title: { ko: "기다림", en: "Waiting" }, key: {}, values: [] })).toBe("기다림");
  expect(names.series({ name: "마루 v3", key: { bot: "ChatbotA", version: 3 }, values: [] })).toBe("마루 v3");
  expect(names.value("faults", "cut, short, <b>")).toBe(`${text("ops.fault.cut")}, ${text("ops.fault.short")}, <b>`);
  expect(names.series({ name: "bad_json", key: {}, values: [] })).toBe("bad_json");
  setLanguage("en");
  expect(names.series({ name: "마루 v3", key: { bot: "ChatbotA", version: 3 }, values: [] })).toBe("Maru v3");
  expect([names.bot("ChatbotA"), names.bot("ChatbotX"), names.bot("ChatbotY"), language()]).toEqual(["Maru", "Ex", "ChatbotY", "en"]);
});

test("intervals follow each other, and the last one is as long as the one before", () => {
  const ends = { from: new Date(0), to: new Date(400) };
  const times = [0, 100, 200].map((at) => new Date(at).toISOString());
  expect(intervalsOf(times, ends)).toEqual([[0, 100], [100, 200], [200, 300]]);
  expect(intervalsOf(times.slice(0, 1), ends)).toEqual([[0, 400]]);
  const found = intervalsOf(times, ends);
  expect([intervalAt(found, 99), intervalAt(found, 100), intervalAt(found, 300), intervalAt(found, -1)]).toEqual([0, 1, null, null]);
});

const INK: Ink = { text: "#000000", soft: "", line: "", panel: "#000000", font: "", series: ["#640000", "#006400", "#000064"] };
const BOTS = ["ChatbotA", "ChatbotB"];
const chartOf = (...series: [string, Record<string, string | number>][]) => ({
  times: [], markers: [], series: series.map(([name, key]) => ({ name, key, values: [] })),
});

test("a bot has the same colour in all charts, also where it is alone", () => {
  const colours = (...names: string[]): string[] => coloursOf(chartOf(...names.map((name): [string, Record<string, string>] => [name, {}])), BOTS, INK);
  expect(colours("ChatbotB")).toEqual(["#006400"]);
  expect(colours("p50", "p95")).toEqual(["#640000", "#006400"]);
  expect(colours("ChatbotB", "other")).toEqual(["#640000", "#006400"]);
});

test("a bot's versions are in order and have its colour, the older the paler", () => {
  const keys = [["ChatbotB", 1], ["ChatbotA", 10], ["ChatbotA", 2]] as const;
  const found = arranged(chartOf(...keys.map(([bot, version]): [string, Record<string, string | number>] => [`${bot} v${version}`, { bot, version }])), BOTS);
  expect(found.series.map(({ name }) => name)).toEqual(["ChatbotA v2", "ChatbotA v10", "ChatbotB v1"]);
  expect(coloursOf(found, BOTS, INK)).toEqual(["#3e0000", "#640000", "#006400"]);
  const others = chartOf(["p95", {}], ["ChatbotA", {}]);
  expect(arranged(others, BOTS)).toEqual(others);
  expect([mixed("#ffffff", "#000000", 0.5), mixed("red", "#000000", 0.5)]).toEqual(["#808080", "red"]);
});

test("a value without neighbours is seen, and texts that would meet are left out", () => {
  expect([isAlone([null, 1, null], 1), isAlone([1, 1], 1), isAlone([1], 0)]).toEqual([true, false, true]);
  expect(withRoom([0, 5, 9, 10, 11], ["a", "b", "c", "d", "e"], 10)).toEqual(["a +2", "", "", "d +1", ""]);
});

test("a chart's options draw each value in the middle of its interval, and no text is HTML or a pattern", () => {
  const hostile = "<img src=x onerror=alert(1)>{a|b}";
  const times = [0, 100].map((at) => new Date(at).toISOString());
  const input: ChartInput = {
    data: {
      times,
      series: [{ name: hostile, key: {}, values: [3, null] }, { name: "b", key: {}, values: [1, 2] }],
      markers: [{ time: new Date(50).toISOString(), bot: hostile, version: 2 }],
    },
    kind: "bars", unit: "turns", ends: { from: new Date(0), to: new Date(200) }, colours: ["#111", "#222"], hidden: new Set([1]),
    markerTexts: [hostile], widthPx: 500, isStill: true,
    ink: INK,
  };
  const { series, tooltip } = chartOptions(input) as { series: { data: unknown; type: string; markLine?: { label: object; data: object[] } }[]; tooltip?: unknown };
  expect(tooltip).toBeUndefined();
  expect(series.map(({ data, type }) => [type, data])).toEqual([
    ["bar", [[50, 3], [150, null]]],
    ["bar", [[50, null], [150, null]]],
    ["line", []],
  ]);
  const { label, data } = series[2]?.markLine as { label: { formatter(found: { name: string }): string; rich?: object }; data: { name: string }[] };
  expect(label.rich).toBeUndefined();
  expect(label.formatter(data[0] ?? { name: "" })).toBe(hostile);
});

test("what is empty is known", () => {
  expect(isEmpty({ times: ["x"], series: [{ name: "a", key: {}, values: [null] }], markers: [] })).toBe(true);
  expect(isEmpty({ times: ["x"], series: [{ name: "a", key: {}, values: [0] }], markers: [] })).toBe(false);
  expect([isEmpty({ columns: [], rows: [] }), isEmpty({ numbers: [] }), isEmpty({ columns: [], rows: [[1]] })]).toEqual([true, true, false]);
});

function refresher(): { found: Refresher; refresh: ReturnType<typeof vi.fn>; page: { visible: boolean } } {
  vi.useFakeTimers();
  const refresh = vi.fn();
  const page = { visible: true };
  const found = new Refresher({
    refresh, isVisible: () => page.visible, nowMs: () => Date.now(),
    later: (ms, action) => setTimeout(action, ms) as unknown as number, never: (timer) => clearTimeout(timer),
  });
  return { found, refresh, page };
}

test("the panels are loaded again at equal intervals, and not while paused", () => {
  const { found, refresh } = refresher();
  found.start(30);
  vi.advanceTimersByTime(29_999);
  expect(refresh).toHaveBeenCalledTimes(0);
  vi.advanceTimersByTime(30_001);
  expect(refresh).toHaveBeenCalledTimes(2);
  found.pause(true);
  vi.advanceTimersByTime(90_000);
  expect(refresh).toHaveBeenCalledTimes(2);
  found.pause(false);
  vi.advanceTimersByTime(0);
  expect(refresh).toHaveBeenCalledTimes(3);
  found.stop();
  vi.advanceTimersByTime(90_000);
  expect(refresh).toHaveBeenCalledTimes(3);
  vi.useRealTimers();
});

test("a page that nobody sees loads nothing, and catches up when it is seen", () => {
  const { found, refresh, page } = refresher();
  found.start(30);
  page.visible = false;
  found.seen();
  vi.advanceTimersByTime(300_000);
  expect(refresh).toHaveBeenCalledTimes(0);
  page.visible = true;
  found.seen();
  vi.advanceTimersByTime(0);
  expect(refresh).toHaveBeenCalledTimes(1);
  vi.useRealTimers();
});

test("only addresses of the web become links, and a turn's id stays in its place", () => {
  expect(["http://127.0.0.1:5000/x", "https://a.example"].every(isWebAddress)).toBe(true);
  expect(["javascript:alert(1)", "data:text/html,x", "//x", "", "/ops"].some(isWebAddress)).toBe(false);
  expect(turnAddress('../"><b>')).toBe("/ops/turn/..%2F%22%3E%3Cb%3E");
});

test("the parts of the waiting time are shown as far as they are known", () => {
  const turn = (known: Partial<LineageTurn>): LineageTurn => ({ latency_ms: 640, ...known }) as LineageTurn;
  expect(waitsOf(turn({ kafka_ms: 12, queue_ms: 130, decode_ms: 510, return_ms: null }))).toEqual([
    { part: "kafka", ms: 12 }, { part: "queue", ms: 130 }, { part: "decode", ms: 510 },
  ]);
  expect(waitsOf(turn({}))).toEqual([{ part: "worker", ms: 640 }]);
  expect(waitsOf(turn({ kafka_ms: -3, return_ms: 4 }))).toEqual([{ part: "kafka", ms: 0 }, { part: "worker", ms: 640 }, { part: "return", ms: 4 }]);
});

function inMemory(): { getItem(key: string): string | null; setItem(key: string, value: string): void; removeItem(key: string): void } {
  const values = new Map<string, string>();
  return { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => void values.set(key, value), removeItem: (key) => void values.delete(key) };
}

test("the gateway is only asked where an operator has been, and a refusal is remembered", async () => {
  const storage = inMemory();
  const request = vi.fn<typeof fetch>(() => Promise.resolve(new Response('{"user":"operator"}')));
  expect(await isOperator(storage, request)).toBe(false);
  expect(request).not.toHaveBeenCalled();
  noteOperator(storage, true);
  expect(await isOperator(storage, request)).toBe(true);
  request.mockImplementation(() => Promise.resolve(new Response("", { status: 503 })));
  expect(await isOperator(storage, request)).toBe(false);
  request.mockImplementation(() => Promise.resolve(new Response("", { status: 401 })));
  expect(await isOperator(storage, request)).toBe(false);
  expect(await isOperator(storage, request)).toBe(false);
  expect(request).toHaveBeenCalledTimes(3);
});

test("settings of another version, or broken ones, have their defaults", () => {
  const storage = inMemory();
  storage.setItem("byeolmaru.ops", '{"language":"fr","theme":7}');
  const settings = new OpsSettings(storage, ["en-GB"]);
  expect([settings.get("language"), settings.get("theme")]).toEqual(["en", "auto"]);
  settings.set("theme", "light");
  expect(new OpsSettings(storage, ["ko"]).get("theme")).toBe("light");
});
