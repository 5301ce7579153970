/** The list of rooms, to go to another one. */

import type { Game } from "../game/game.ts";
import { ROOM_PARAMETER } from "../model/wantedRoom.ts";
import type { EventOf, RoomView } from "../net/messages.ts";
import { showChildren } from "./children.ts";
import { openDialog, type Dialog } from "./dialog.ts";
import { button, h } from "./dom.ts";
import { refusalText } from "./names.ts";
import { webAddress } from "./webPortal.ts";

const ASK_AGAIN_MS = 5_000;

let open: { dialog: Dialog; problem: HTMLElement; show: () => void } | null = null;

/** Open the list. It asks for the rooms again and again while it is open. */
export function roomsDialog(game: Game): void {
  const list = h("ul", { class: "rooms" });
  const problem = h("p", { class: "problem", attributes: { role: "alert" } });
  const rowByView = new Map<string, HTMLElement>();
  /** Rows that have not changed stay, and with them the focus. */
  const rowOf = (view: RoomView): HTMLElement => {
    const key = JSON.stringify([view, view.room === game.model.room]);
    const found = rowByView.get(key) ?? row(game, view);
    rowByView.set(key, found);
    return found;
  };
  const show = (): void => {
    const focused = document.activeElement?.closest<HTMLElement>("[data-room]")?.dataset.room;
    showChildren(list, game.model.rooms.map(rowOf));
    if (focused === undefined || list.contains(document.activeElement)) return;
    list.querySelector<HTMLElement>(`[data-room="${focused}"] :is(button, a)`)?.focus();
  };
  show();
  const timer = setInterval(() => game.listRooms(), ASK_AGAIN_MS);
  const closed = (): void => {
    clearInterval(timer);
    open = null;
  };
  open = { dialog: openDialog("rooms.title", [list, problem], { onClose: closed }), problem, show };
  game.listRooms();
}

/** Follow the rooms: call once per page. */
export function followRooms(game: Game): void {
  game.model.onChange((part) => part === "rooms" && open?.show());
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
  const attributes = { "data-room": String(room) };
  const address = addressElsewhere(view);
  if (address !== null && !isFull) return h("li", { attributes }, h("a", { class: "button room", attributes: { href: address } }, ...about));
  const go = button({ class: "room", onClick: () => game.go(room) }, ...about);
  go.disabled = isHere || isFull;
  return h("li", { attributes }, go);
}

/** Return the address of a room that another gateway has: its page, which enters that room. */
function addressElsewhere({ url, room }: RoomView): string | null {
  const address = url === "" ? null : webAddress(url);
  if (address === null) return null;
  address.searchParams.set(ROOM_PARAMETER, String(room));
  return address.href;
}
