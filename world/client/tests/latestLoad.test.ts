/** Quick changes of the view load the scene once, and leave none behind. */

import { expect, test } from "vitest";
import { LatestLoad } from "../src/game/latestLoad.ts";

class Item {
  isDisposed = false;
  dispose(): void {
    this.isDisposed = true;
  }
}

function gate<Value>(): { promise: Promise<Value>; open: (value: Value) => void; fail: (error: Error) => void } {
  let open: (value: Value) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<Value>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

test("an item that is stopped while it is made is disposed of", async () => {
  const loads = new LatestLoad<Item>();
  const made = gate<Item>();
  const first = loads.load(() => Promise.resolve(1), () => made.promise);
  await Promise.resolve();
  loads.stop();
  const second = loads.load(() => Promise.resolve(2), () => Promise.resolve(new Item()));
  const stale = new Item();
  made.open(stale);
  expect(await first).toBeNull();
  expect(stale.isDisposed).toBe(true);
  expect((await second)?.isDisposed).toBe(false);
});

test("an item that is stopped before it is made is not made", async () => {
  const loads = new LatestLoad<Item>();
  const fetched = gate<number>();
  let made = 0;
  const first = loads.load(() => fetched.promise, () => Promise.resolve((made += 1, new Item())));
  loads.stop();
  fetched.open(1);
  expect(await first).toBeNull();
  expect(made).toBe(0);
});

test("only the errors of the wanted load count", async () => {
  const loads = new LatestLoad<Item>();
  const old = gate<number>();
  const stopped = loads.load(() => old.promise, () => Promise.resolve(new Item()));
  const failing = loads.load(() => Promise.reject(new Error("no WebGL")), () => Promise.resolve(new Item()));
  old.fail(new Error("old"));
  expect(await stopped).toBeNull();
  await expect(failing).rejects.toThrow("no WebGL");
});
