/** The client knows everything that the gateway's source says it sends. */

import { expect, test } from "vitest";
import events from "../../gateway/protocol/events.py?raw";
import refused from "../../gateway/refused.py?raw";
import { DEFAULTS, REASONS, type EventName } from "../src/net/messages.ts";

interface PythonClass {
  tag: string;
  optional: string[];
}

test("the reasons of refusals are the gateway's", () => {
  const literal = /^Reason = Literal\[([^\]]*)\]/m.exec(refused)?.[1] ?? "";
  const reasons = [...literal.matchAll(/"(\w+)"/g)].map((match) => match[1]);
  expect([...REASONS].sort()).toEqual(reasons.sort());
});

test("the events are the gateway's, with the same fields that may be left out", () => {
  const found = classesOf(events).map(({ tag, optional }) => [tag, optional]);
  const known = Object.entries(DEFAULTS).map(([tag, defaults]) => [tag as EventName, Object.keys(defaults).sort()]);
  expect(Object.fromEntries(known)).toEqual(Object.fromEntries(found));
});

function classesOf(source: string): PythonClass[] {
  return source.split(/^class /m).flatMap((part) => {
    const head = /^(\w+)\(Event\b(?:[^)]*tag="(\w+)")?/.exec(part);
    if (!head?.[1]) return [];
    const optional = [...part.matchAll(/^ {4}(\w+): [^\n=]+ = /gm)].map((match) => match[1] ?? "");
    return [{ tag: head[2] ?? head[1].toLowerCase(), optional: optional.sort() }];
  });
}
