import type { BotView, EmoteKind, Look, Position, Quality, Stage, WorldScene } from "./scene/api";
import { createScene } from "./scene/index";

/** A development page: the scene with invented players, set by the address: ?q=low&t=0.8&n=20&at=x,z&cam=angle,pitch,m */
const query = new URLSearchParams(location.search);
const numbers = (name: string, fallback: number[]): number[] => query.get(name)?.split(",").map(Number) ?? fallback;
const canvas = document.querySelector("canvas");
const labels = document.querySelector<HTMLElement>("#labels");
if (!canvas || !labels) throw new Error("scene.html lacks its canvas");

const NAMES = ["예빈", "서현", "하늘", "도윤", "지우", "은채", "민준", "소라", "별이", "태오", "나래", "가온"];
const LINES = ["안녕하세요! 처음 왔어요", "분수대 앞에서 만나요", "등불시장 꼬치 먹으러 갈 사람?", "노을 진짜 예쁘다…", "나룻배 타러 가요!"];
const count = Number(query.get("n") ?? 8);
const [startX = 0, startZ = 13] = numbers("at", [0, 13]);

function look(seed: number): Look {
  return { body: seed % 4, hair: (seed * 5) % 6, hair_color: (seed * 3) % 8, top: (seed * 7 + 1) % 8, bottom: (seed * 3 + 2) % 8, hat: seed % 3 ? 0 : (seed * 5) % 6 };
}

function walkers(scene: WorldScene): void {
  const walks = query.get("walk") !== "0";
  const [cx = startX, cz = startZ, spread = 6] = numbers("crowd", [startX, startZ - 3, 6]);
  const step = (): void => {
    const seconds = performance.now() / 1000;
    const positions: Position[] = [];
    for (let seat = 1; seat <= count; seat += 1) {
      const radius = walks ? 1.5 + ((seat * 0.618) % 1) * spread : spread;
      const angle = walks ? (seat % 2 ? 1 : -1) * seconds * (2.4 / radius) + seat : (seat / count) * 6.28;
      const facing = walks ? angle + (seat % 2 ? 1.57 : -1.57) : angle + Math.PI + ((seat * 37) % 10) * 0.15;
      positions.push({ seat, x: cx + Math.sin(angle) * radius, z: cz + Math.cos(angle) * radius, height: 0, yaw: Math.round((facing / 6.283) * 256) & 255, gait: walks ? 1 : 0 });
    }
    scene.positions(positions);
  };
  for (let seat = 1; seat <= count; seat += 1) scene.addPlayer({ seat, name: NAMES[seat % NAMES.length] ?? "손님", look: look(seat), x: cx, z: cz, yaw: 0 });
  step();
  setInterval(step, 66);
}

function chatter(scene: WorldScene): void {
  if (query.get("talk") === "0") return;
  const speak = (): void => {
    for (let seat = 1; seat <= Math.min(count, 3); seat += 1) scene.say(seat, LINES[seat % LINES.length] ?? "안녕!");
    scene.botSay("ChatbotA", "어서 오세요! 분수대 뒤에 포털이 있어요.", "예빈");
    if (count > 4) scene.emote(4, "cheer");
    if (count > 5) scene.emote(5, "wave");
  };
  setTimeout(speak, 600);
  setInterval(speak, 8000);
}

const events = { moved: () => undefined, botChosen: console.info, playerChosen: console.info, botNear: console.info, portalNear: () => undefined, webPortalNear: () => undefined, placeEntered: console.info };
const scene = await createScene({
  canvas, labels, quality: (query.get("q") ?? "high") as Quality, reducedMotion: query.has("calm"), hideNames: query.has("nonames"),
  language: query.get("lang") === "en" ? "en" : "ko", events,
});
scene.timeOfDay(Number(query.get("t") ?? 0.6));
if (!query.has("door")) {
  scene.enter({ seat: 0, name: "나", look: look(Number(query.get("look") ?? 3)), x: startX, z: startZ, yaw: Number(query.get("yaw") ?? 128) });
  walkers(scene);
  chatter(scene);
}
(query.get("stages")?.split(",") ?? []).forEach((stage, index) => {
  const bot = (["ChatbotA", "ChatbotB", "ChatbotC"] as const)[index % 3] ?? "ChatbotA";
  if (stage === "thinking") scene.botThinking(bot, 0);
  else scene.botStage({ bot, stage: stage as Stage, version: 2, learned: 12 } satisfies BotView);
});
const emote = query.get("emote");
if (emote) setTimeout(() => scene.emote(0, emote as EmoteKind), 500);
const [cameraRad, pitchRad = 0.2, distanceM = 6.2] = numbers("cam", []);
if (cameraRad !== undefined) scene.look(cameraRad, pitchRad, distanceM);
Object.assign(window, { scene, look });
