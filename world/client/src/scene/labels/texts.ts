import type { Stage } from "../api";

type Language = "ko" | "en";

/** What is written next to a bot's name for a stage; nothing while it is simply there. */
const STAGE_TEXTS: Readonly<Record<Stage, Readonly<Record<Language, string>> | null>> = {
  asleep: { ko: "쿨쿨 자는 중", en: "Sleeping" },
  ready: null,
  training: { ko: "공부 중", en: "Studying" },
  candidate: { ko: "새 모습 준비 중", en: "Getting ready" },
  new_version: { ko: "새로 배웠어요!", en: "Learned something new!" },
  muted: { ko: "쉿, 쉬는 중", en: "Quiet for now" },
  degraded: { ko: "몸이 안 좋아요", en: "Not feeling well" },
};

/** The names that players see. */
const BOT_NAMES: Readonly<Record<string, Readonly<Record<Language, string>>>> = {
  ChatbotA: { ko: "마루", en: "Maru" },
  ChatbotB: { ko: "온유", en: "Onyu" },
  ChatbotC: { ko: "설이", en: "Seol" },
};

/** The text for a stage, or null. */
export function stageText(stage: Stage, language: Language): string | null {
  return STAGE_TEXTS[stage]?.[language] ?? null;
}

/** A bot's name. */
export function botName(bot: string, language: Language): string {
  return BOT_NAMES[bot]?.[language] ?? bot;
}

/** Words of the badge and of the touch controls. */
export const WORDS = {
  badge: { ko: "봇", en: "BOT" },
  jump: { ko: "점프", en: "Jump" },
} as const;
