/** Each order of events that browsers are known for gives exactly one message. */

import { beforeEach, expect, test } from "vitest";
import { EnterKey } from "../src/ui/enterKey.ts";

let field = "";
let sent: string[] = [];
let ticks: (() => void)[] = [];
let key: EnterKey;

beforeEach(() => {
  field = "";
  sent = [];
  ticks = [];
  key = new EnterKey(
    () => {
      if (field === "") return;
      sent.push(field);
      field = "";
    },
    (action) => ticks.push(action),
  );
});

function nextTick(): void {
  for (const action of ticks.splice(0)) action();
}

test("Chromium: Enter during the composition, then its end", () => {
  key.compositionStart();
  field = "한그";
  key.enter();
  field = "한글";
  key.compositionEnd();
  nextTick();
  expect(sent).toEqual(["한글"]);
});

test("Safari: the end of the composition, then Enter", () => {
  key.compositionStart();
  field = "한글";
  key.compositionEnd();
  key.enter();
  nextTick();
  expect(sent).toEqual(["한글"]);
});

test("Enter during the composition, its end, and a second Enter at once", () => {
  key.compositionStart();
  field = "한글";
  key.enter();
  key.compositionEnd();
  key.enter();
  nextTick();
  expect(sent).toEqual(["한글"]);
});

test("a second Enter after the message was sent sends nothing", () => {
  key.compositionStart();
  field = "한글";
  key.enter();
  key.compositionEnd();
  nextTick();
  key.enter();
  expect(sent).toEqual(["한글"]);
});

test("without a composition, Enter sends at once", () => {
  field = "hello";
  key.enter();
  expect(sent).toEqual(["hello"]);
});

test("the end of a composition alone sends nothing", () => {
  key.compositionStart();
  field = "한";
  key.compositionEnd();
  nextTick();
  expect(sent).toEqual([]);
});

test("a field that has lost the focus sends nothing later", () => {
  key.compositionStart();
  field = "한";
  key.enter();
  key.leave();
  key.compositionEnd();
  nextTick();
  expect(sent).toEqual([]);
});
