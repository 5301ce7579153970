import { expect, test } from "vitest";
import { checkedName } from "../src/model/guestName.ts";
import { CHOICES, LOOK_PARTS, randomLook, stepped, storedLook } from "../src/model/looks.ts";
import data from "../../places.json";
import { portalTarget } from "../src/model/places.ts";
import { Settings, type SettingValues } from "../src/model/settings.ts";
import { wantedRoom } from "../src/model/wantedRoom.ts";
import { WorldModel } from "../src/model/world.ts";
import type { Player, WorldEvent } from "../src/net/messages.ts";
import { newId } from "../src/net/ids.ts";

const LOOK = { body: 0, hair: 0, hair_color: 0, top: 0, bottom: 0, hat: 0 };
const DEFAULTS: SettingValues = {
  language: "ko", quality: "medium", autoQuality: true, evening: 0.7, textSize: 100, theme: "dark", reducedMotion: false, list: false, chatOpen: true, shortcuts: true,
};

function storage(content: Record<string, string> = {}): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  const values = new Map(Object.entries(content));
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

function player(seat: number, name: string, tag = "a".repeat(16)): Player {
  return { seat, name, look: LOOK, x: 0, z: 0, yaw: 0, tag };
}

function welcome(...players: Player[]): WorldEvent {
  return {
    t: "welcome", v: 1, epoch: "e1", you: 7, name: "예빈", room: 1, seats: 20, x: 0, z: 13, tick_hz: 15, store: true, learn: true,
    minor: false, players, bots: [], rooms: [],
  };
}

test.each(["예빈", "  예빈  ", "가나다라마바사아자차카타파하거너"])("%j may be a name", (typed) => {
  expect(checkedName(typed)).toBe(typed.trim());
});

test.each(["", "아", "  아 ", "가나다라마바사아자차카타파하거너더"])("%j is too short or too long", (typed) => {
  expect(() => checkedName(typed)).toThrow("name_length");
});

test("a name of separate letters counts as its syllables", () => {
  expect(checkedName("예빈".normalize("NFD"))).toBe("예빈");
});

test("every look is one that the world can draw", () => {
  for (const look of [randomLook(() => 0), randomLook(() => 0.999_999)]) {
    for (const part of LOOK_PARTS) expect(look[part]).toBeLessThan(CHOICES[part]);
  }
  expect(stepped(LOOK, "hair", -1).hair).toBe(CHOICES.hair - 1);
  expect(stepped({ ...LOOK, hat: CHOICES.hat - 1 }, "hat", 1).hat).toBe(0);
});

test("a stored look with impossible parts is repaired", () => {
  const look = storedLook(storage({ "byeolmaru.look": '{"body":2,"hair":99,"hat":"x"}' }));
  expect(look.body).toBe(2);
  expect(look.hair).toBeLessThan(CHOICES.hair);
});

test("settings of another version fall back to the defaults", () => {
  const stored = { "byeolmaru.settings": '{"quality":"ultra","evening":0.2,"textSize":99,"other":1}' };
  const settings = new Settings(storage(stored), DEFAULTS);
  expect(settings.get("quality")).toBe("medium");
  expect(settings.get("evening")).toBe(0.2);
  expect(settings.get("textSize")).toBe(100);
});

test("all portals lead somewhere with a name", () => {
  for (let portal = 0; portal < data.portals.length; portal += 1) expect(portalTarget(portal, "ko")).toMatch(/[가-힣]/);
});

test("the model keeps who is in the room, and the player apart", () => {
  const model = new WorldModel();
  model.follow(welcome(player(7, "예빈"), player(8, "서현")));
  model.follow({ t: "joined", player: player(9, "도윤") });
  model.follow({ t: "left", seat: 8, name: "서현" });
  expect([...model.players.keys()]).toEqual([9]);
  expect(model.avatar?.name).toBe("예빈");
  expect(model.count).toBe(2);
  expect(model.nameOf(7)).toBe("예빈");
});

test("who is to be reported is found by the tag, in whatever seat", () => {
  const [seohyeon, doyun] = [player(8, "서현", "s"), player(8, "도윤", "d")];
  const model = new WorldModel();
  model.follow(welcome(player(7, "예빈"), seohyeon));
  expect(model.seatOf(seohyeon)).toBe(8);
  model.follow(welcome(player(7, "예빈"), doyun, { ...seohyeon, seat: 9 }));
  expect(model.withTag("s")?.seat).toBe(9);
  expect(model.seatOf(seohyeon)).toBe(9);
});

test("who has left can be reported until somebody else has the seat or the room is another", () => {
  const [seohyeon, doyun] = [player(8, "서현", "s"), player(8, "도윤", "d")];
  const model = new WorldModel();
  model.follow(welcome(player(7, "예빈"), seohyeon));
  model.follow({ t: "left", seat: 8, name: "서현" });
  expect(model.withTag("s")).toBeUndefined();
  expect(model.seatOf(seohyeon)).toBe(8);
  model.follow({ t: "joined", player: doyun });
  expect(model.seatOf(seohyeon)).toBeUndefined();
  model.follow({ t: "left", seat: 8, name: "도윤" });
  expect(model.seatOf(seohyeon)).toBeUndefined();
  expect(model.seatOf(doyun)).toBe(8);
  model.follow(welcome(player(7, "예빈")));
  expect(model.seatOf(doyun)).toBeUndefined();
});

test("ids have the form that the protocol wants", () => {
  for (let count = 0; count < 200; count += 1) expect(newId()).toMatch(/^[A-Za-z0-9_-]{16}$/);
});

test.each([
  ["?room=7", 7],
  ["?room=0", undefined],
  ["?room=10000", undefined],
  ["?room=x", undefined],
  ["", undefined],
])("the address %j asks for room %s", (search, expected) => {
  expect(wantedRoom(search)).toBe(expected);
});
