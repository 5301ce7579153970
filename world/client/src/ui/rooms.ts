/** The list of rooms, to go to another one. */

import type { Game } from "../game/game.ts";
import type { EventOf, RoomView } from "../net/messages.ts";
import { openDialog, type Dialog } from "./dialog.ts";
import { button, h } from "./dom.ts";
import { refusalText } from "./names.ts";
import { webAddress } from "./webPortal.ts";
import { ROOM_PARAMETER } from "../model/wantedRoom.ts";

let open: { dialog: Dialog; problem: HTMLElement } | null = null;

/** Open the list. It follows the rooms while it is open. */
export function roomsDialog(game: Game): void {
  const list = h("ul", { class: "rooms" });
  const problem = h("p", { class: "problem", attributes: { role: "alert" } });
  const show = (): void => list.replaceChildren(...game.model.rooms.map((room) => row(game, room)));
  show();
  const dialog = openDialog("rooms.title", [list, problem], { onClose: () => (open = null) });
  open = { dialog, problem };
  openLists.add(show);
  dialog.element.addEventListener("close", () => openLists.delete(show));
}

const openLists = new Set<() => void>();

/** Follow the rooms: call once per page. */
export function followRooms(game: Game): void {
  game.model.onChange((part) => {
    if (part === "rooms") for (const show of openLists) show();
  });
  game.bus.on({ welcome: () => open?.dialog.close() });
}

/** Say in the open list why the player cannot go there. Returns whether a list is open. */
export function roomRefused(refusal: EventOf<"refusal">): boolean {
  if (open === null || refusal.of !== "go") return false;
  open.problem.textContent = refusalText(refusal.reason, refusal.wait_s);
  return true;
}

function row(game: Game, view: RoomView): HTMLElement {
  const { room, players, seats } = view;
  const isHere = room === game.model.room;
  const isFull = players >= seats;
  const state = isHere ? "rooms.here" : isFull ? "rooms.full" : players === 0 ? "rooms.empty" : null;
  const about = [
    h("span", { class: "room-name", text: { key: "top.room", params: { room } } }),
    h("span", { class: "room-state" }, ...(state ? [h("span", { text: state })] : [])),
    h("span", { class: "room-count", text: { key: "top.count", params: { players, seats } } }),
  ];
  const address = addressElsewhere(view);
  if (address !== null && !isFull) return h("li", {}, h("a", { class: "button room", attributes: { href: address } }, ...about));
  const go = button({ class: "room", onClick: () => game.go(room) }, ...about);
  go.disabled = isHere || isFull;
  return h("li", {}, go);
}

/** Return the address of a room that another gateway has: its page, which enters that room. */
function addressElsewhere({ url, room }: RoomView): string | null {
  const address = url === "" ? null : webAddress(url);
  if (address === null) return null;
  address.searchParams.set(ROOM_PARAMETER, String(room));
  return address.href;
}
