/** Makes the world's texts those of this page. */

import { en } from "./en.ts";
import { ko } from "./ko.ts";
import { useTexts } from "./language.ts";

export const TEXTS = { ko, en };

useTexts(TEXTS);
