/** The client knows everything that the gateway's source says it sends. */

import { expect, test } from "vitest";
import commands from "../../gateway/protocol/commands.py?raw";
import events from "../../gateway/protocol/events.py?raw";
import refused from "../../gateway/refused.py?raw";
import { MOST_PLAYERS } from "../src/model/playerList.ts";
import { DEFAULTS, REASONS, type EventName } from "../src/net/messages.ts";

/** What the client reads. A change on the gateway's side must be looked at here. */
const REQUIRED: Readonly<Record<EventName, string>> = {
  welcome: "bots epoch learn minor name players room rooms seats store tick_hz v x you z",
  joined: "player", left: "name seat", dressed: "look seat", said: "id line name seat text",
  whispered: "id line name seat text to to_name", emoted: "kind seat", thinking: "bot name seat", answered: "bot name seat",
  unanswered: "bot id reason", noted: "kind turn", reported: "seat", consented: "learn store", staged: "bot",
  moved: "x z", hidden: "line", rooms: "rooms", refusal: "of reason", pong: "at",
};

interface PythonClass {
  tag: string;
  required: string[];
  optional: string[];
}

test("the reasons of refusals are the gateway's", () => {
  const literal = /^Reason = Literal\[([^\]]*)\]/m.exec(refused)?.[1] ?? "";
  const reasons = [...literal.matchAll(/"(\w+)"/g)].map((match) => match[1]);
  expect([...REASONS].sort()).toEqual(reasons.sort());
});

test("the client blocks no more players than an entry may name", () => {
  expect(MOST_PLAYERS).toBe(Number(/^MAX_BLOCKED = (\d+)$/m.exec(commands)?.[1]));
});

test("the events are the gateway's, with the same fields that may be left out", () => {
  const found = classesOf(events).map(({ tag, optional }) => [tag, optional]);
  const known = Object.entries(DEFAULTS).map(([tag, defaults]) => [tag as EventName, Object.keys(defaults).sort()]);
  expect(Object.fromEntries(known)).toEqual(Object.fromEntries(found));
});

test("the events have the fields that the client reads", () => {
  expect(Object.fromEntries(classesOf(events).map(({ tag, required }) => [tag, required.join(" ")]))).toEqual(REQUIRED);
});

function classesOf(source: string): PythonClass[] {
  return source.split(/^class /m).flatMap((part) => {
    const head = /^(\w+)\(Event\b(?:[^)]*tag="(\w+)")?/.exec(part);
    if (!head?.[1]) return [];
    const optional = [...part.matchAll(/^ {4}(\w+): [^\n=]+ = /gm)].map((match) => match[1] ?? "");
    const required = [...part.matchAll(/^ {4}(\w+): [^\n=]+$/gm)].map((match) => match[1] ?? "");
    return [{ tag: head[2] ?? head[1].toLowerCase(), required: required.sort(), optional: optional.sort() }];
  });
}
