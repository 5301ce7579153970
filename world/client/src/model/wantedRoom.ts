/** The room that the page's address asks for: the player comes from another gateway's list of rooms. */

export const ROOM_PARAMETER = "room";

/** Return the room of an address; undefined if it names none. */
export function wantedRoom(search: string): number | undefined {
  const room = Number(new URLSearchParams(search).get(ROOM_PARAMETER));
  return Number.isInteger(room) && room >= 1 && room <= 9999 ? room : undefined;
}
