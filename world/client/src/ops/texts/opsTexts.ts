/** Makes the texts of the operators' page those of this page. */

import { useTexts } from "../../i18n/language.ts";
import { en } from "./en.ts";
import { ko } from "./ko.ts";

export const TEXTS = { ko, en };

useTexts(TEXTS);
