// Headless players of the Colyseus server, with the walk of benchmarks/world/walkers.py.
// `node players.mjs PORT PLAYERS SECONDS` prints a line of JSON when the measurement begins, and one with the results.
import { Client } from "@colyseus/sdk";

const [port, count, seconds] = process.argv.slice(2).map(Number);
const HZ = 15, GROUPS = 30, AT_ONCE = 20, SETTLE_S = 3;
const RADIUS_M = 6, CENTRE = [0, 17];
const STEPS = Math.round(((2 * Math.PI * RADIUS_M) / 4) * HZ);

const moves = Array.from({ length: STEPS }, (_, step) => {
  const angle = (2 * Math.PI * step) / STEPS;
  const bytes = Buffer.alloc(6);
  bytes.writeInt16LE(Math.round((CENTRE[0] + RADIUS_M * Math.sin(angle)) * 100), 0);
  bytes.writeInt16LE(Math.round((CENTRE[1] + RADIUS_M * Math.cos(angle)) * 100), 2);
  bytes[4] = Math.round((angle / (2 * Math.PI)) * 256) & 0xff;
  bytes[5] = 1;
  return bytes;
});

class Walker {
  constructor(number) {
    this.step = (number * 7) % STEPS;
    this.sentAt = new Float64Array(STEPS);
    this.shown = -1;
    this.forget();
  }

  forget() {
    this.updates = 0;
    this.echoes = [];
  }

  async enter() {
    this.room = await new Client(`ws://127.0.0.1:${port}`).joinOrCreate("town");
    this.room.reconnection.enabled = false;
    this.room.onStateChange((state) => this.receive(state));
  }

  // The own position says which step it is: each step of the circle has a place of its own.
  receive(state) {
    this.updates += 1;
    const own = state.players?.get(this.room.sessionId);
    const shown = own ? STEP_BY_PLACE.get(own.x * 0x10000 + own.z) : undefined;
    if (shown === undefined || shown === this.shown) return;
    const now = performance.now();
    if (this.shown >= 0) {
      for (let step = (this.shown + 1) % STEPS; ; step = (step + 1) % STEPS) {
        this.echoes.push(now - this.sentAt[step]);
        if (step === shown) break;
      }
    }
    this.shown = shown;
  }

  send() {
    this.step = (this.step + 1) % STEPS;
    this.sentAt[this.step] = performance.now();
    this.room.sendBytes(1, moves[this.step]);
  }
}

const STEP_BY_PLACE = new Map(moves.map((bytes, step) => [bytes.readInt16LE(0) * 0x10000 + bytes.readInt16LE(2), step]));
const walkers = Array.from({ length: count }, (_, number) => new Walker(number));
for (let first = 0; first < count; first += AT_ONCE) {
  await Promise.all(walkers.slice(first, first + AT_ONCE).map((walker) => walker.enter()));
}

async function pace(forSeconds) {
  const turnMs = 1000 / HZ / GROUPS, until = performance.now() + forSeconds * 1000;
  let next = performance.now(), turn = 0, late = 0;
  while (performance.now() < until) {
    while (next <= performance.now()) {
      for (let index = turn % GROUPS; index < count; index += GROUPS) walkers[index].send();
      turn += 1;
      next += turnMs;
      if (performance.now() > next + 1000 / HZ) {
        late += 1;
        next = performance.now();
      }
    }
    await new Promise((done) => setTimeout(done, Math.max(1, next - performance.now())));
  }
  return late;
}

await pace(SETTLE_S);
walkers.forEach((walker) => walker.forget());
const before = process.cpuUsage(), started = performance.now();
console.log(JSON.stringify({ measuring: seconds }));
const late = await pace(seconds);
const took = (performance.now() - started) / 1000, used = process.cpuUsage(before);
const echoes = walkers.flatMap((walker) => walker.echoes).sort((one, other) => one - other);
const at = (share) => echoes[Math.floor((echoes.length * share) / 100)];
console.log(JSON.stringify({
  players: count, seconds: took, late_turns: late, load_cpu_share: (used.user + used.system) / 1e6 / took,
  updates_per_s: walkers.reduce((sum, walker) => sum + walker.updates, 0) / took / count,
  echoes: echoes.length, p50_ms: at(50), p95_ms: at(95), p99_ms: at(99),
}));
process.exit(0);
