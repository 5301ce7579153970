/** Whoever is in the world and has no connection sees why. */

import { expect, test } from "vitest";
import type { LinkState } from "../src/net/connection.ts";
import { isOnTheWay } from "../src/ui/linkBanner.ts";

test.each<[LinkState, boolean]>([
  [{ is: "offline" }, true],
  [{ is: "connecting" }, true],
  [{ is: "waiting", reason: "busy", waitS: 3 }, true],
  [{ is: "online" }, false],
  [{ is: "closed" }, false],
  [{ is: "replaced" }, false],
  [{ is: "flooding", waitS: 30 }, false],
  [{ is: "refused", reason: "banned", waitS: 0 }, false],
])("the link %j comes back by itself: %s", (state, expected) => {
  expect(isOnTheWay(state)).toBe(expected);
});
