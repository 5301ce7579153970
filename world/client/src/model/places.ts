/** The places and portals of the world, by their numbers in `places.json`. */

import data from "../../../places.json";
import type { Language } from "../i18n/language.ts";

/** Return the name of a place. */
export function placeName(id: string, language: Language): string {
  return data.places.find((place) => place.id === id)?.[language] ?? id;
}

/** Return the name of the place that a portal leads to. */
export function portalTarget(index: number, language: Language): string {
  return placeName(data.portals[index]?.to ?? "", language);
}
