import { describe, expect, it } from "vitest";
import { bubbleSeconds } from "./labels";
import { stageText } from "./texts";

describe("bubbleSeconds", () => {
  it("gives short and long texts 4 to 9 seconds", () => {
    expect(bubbleSeconds("안녕")).toBe(4);
    expect(bubbleSeconds("가".repeat(30))).toBeGreaterThan(5);
    expect(bubbleSeconds("가".repeat(200))).toBe(9);
  });
});

describe("stageText", () => {
  it("says nothing while a bot is simply there", () => {
    expect(stageText("ready", "ko")).toBeNull();
    expect(stageText("training", "ko")).toBe("공부 중");
  });
});
