/** What cannot be sent stays in the box, and the player is told why. */

import { expect, test } from "vitest";
import { worded } from "../src/i18n/localize.ts";
import { problemOf, type Audience } from "../src/ui/chat/outgoing.ts";

function why(audience: Audience, text = "안녕", waiting: string[] = []): string | null {
  const problem = problemOf({ audience, text, shared: false }, (bot) => waiting.includes(bot));
  return problem === null ? null : worded(problem);
}

test("a whisper to somebody who has left is refused, with the name", () => {
  expect(why({ to: "gone", name: "서현" })).toContain("서현 님");
  expect(why({ to: "player", seat: 8 })).toBeNull();
});

test("a second question waits for the first one's answer, with the same bot only", () => {
  expect(why({ to: "bot", bot: "ChatbotA" }, "?", ["ChatbotA"])).toContain("마루");
  expect(why({ to: "bot", bot: "ChatbotB" }, "?", ["ChatbotA"])).toBeNull();
});

test("300 characters may be sent, and 301 not; a pair of surrogates is one", () => {
  expect(why({ to: "everyone" }, "🌟".repeat(300))).toBeNull();
  expect(why({ to: "everyone" }, "🌟".repeat(301))).toContain("301자");
});
