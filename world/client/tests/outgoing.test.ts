/** What cannot be sent stays in the box, and the player is told why. */

import { expect, test } from "vitest";
import "../src/i18n/worldTexts.ts";
import { worded } from "../src/i18n/localize.ts";
import { audienceOf, isFor, problemOf, type Audience } from "../src/ui/chat/outgoing.ts";

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

test("only the option of everyone means everyone; without an option nothing is sent", () => {
  expect(audienceOf("everyone", "")).toEqual({ to: "everyone" });
  expect(audienceOf("bot:ChatbotB", "온유")).toEqual({ to: "bot", bot: "ChatbotB" });
  expect(audienceOf("player:8", "서현")).toEqual({ to: "player", seat: 8 });
  expect(audienceOf("gone:", "서현")).toEqual({ to: "gone", name: "서현" });
  for (const value of ["", "player", "player:", "bot:", "all"]) expect(audienceOf(value, "")).toEqual({ to: "nobody" });
  expect(why({ to: "nobody" })).toContain("골라");
});

test("a refused text goes back into the box only for those whom it was for", () => {
  const whisper = { t: "whisper", id: "a", to: 8, text: "비밀" } as const;
  expect(isFor(whisper, { to: "player", seat: 8 }, false)).toBe(true);
  for (const audience of [{ to: "everyone" }, { to: "player", seat: 9 }, { to: "bot", bot: "ChatbotA" }, { to: "gone", name: "서현" }, { to: "nobody" }] as const) {
    expect(isFor(whisper, audience, false)).toBe(false);
  }
  expect(isFor({ t: "say", id: "a", text: "안녕" }, { to: "everyone" }, false)).toBe(true);
  expect(isFor({ t: "say", id: "a", text: "안녕" }, { to: "player", seat: 8 }, false)).toBe(false);
});

test("a private question is not given back where others would see it", () => {
  const ask = { t: "ask", id: "a", bot: "ChatbotB", text: "?", shared: false } as const;
  const onyu = { to: "bot", bot: "ChatbotB" } as const;
  expect(isFor(ask, onyu, false)).toBe(true);
  expect(isFor(ask, onyu, true)).toBe(false);
  expect(isFor({ ...ask, shared: true }, onyu, false)).toBe(true);
  expect(isFor(ask, { to: "bot", bot: "ChatbotA" }, false)).toBe(false);
});
