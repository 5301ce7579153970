/** Ids of messages: random, so that two tabs never choose the same one. */

/** Return a new id of 16 characters. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}
