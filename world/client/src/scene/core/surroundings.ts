import type { SceneEvents } from "../api";
import { PLACES, placeAt, type Point } from "./places";

const TALK_M = 4;
const PORTAL_M = 1.9;

/** Tells when the player comes near bots and portals, and enters places; only changes are told. */
export class Surroundings {
  private readonly events: SceneEvents;
  private bot: string | null = null;
  private portal: number | null = null;
  private webPortal: number | null = null;
  private place: string | null = null;

  constructor(events: SceneEvents) {
    this.events = events;
  }

  /** The bot within talking distance. */
  get nearBot(): string | null {
    return this.bot;
  }

  /** Look around from a point. */
  update(at: Point): void {
    const stand = nearest(PLACES.bots, at, TALK_M);
    const bot = stand === null ? null : PLACES.bots[stand]?.bot ?? null;
    const portal = nearest(PLACES.portals, at, PORTAL_M);
    const webPortal = nearest(PLACES.web_portals, at, PORTAL_M);
    const place = placeAt(at.x, at.z);
    if (bot !== this.bot) this.events.botNear((this.bot = bot));
    if (portal !== this.portal) this.events.portalNear((this.portal = portal));
    if (webPortal !== this.webPortal) this.events.webPortalNear((this.webPortal = webPortal));
    if (place !== this.place) this.events.placeEntered((this.place = place));
  }
}

/** The index of the nearest point within a distance, or null. */
function nearest(points: readonly Point[], at: Point, mostM: number): number | null {
  let best: number | null = null;
  let bestM = mostM;
  points.forEach((point, index) => {
    const distance = Math.hypot(point.x - at.x, point.z - at.z);
    if (distance < bestM) [best, bestM] = [index, distance];
  });
  return best;
}
