// What the gateway's movement does, on Colyseus: rooms of 20, patches at 15 Hz. `node server.mjs PORT`
import { Room, Server } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { WebSocketTransport } from "@colyseus/ws-transport";

const Player = schema({ x: t.int16(), z: t.int16(), yaw: t.uint8(), gait: t.uint8() }, "Player");
const State = schema({ players: t.map(Player) }, "State");

class Town extends Room {
  maxClients = 20;
  patchRate = 1000 / 15;
  state = new State();

  onCreate() {
    // A move is as small as the gateway's: bytes, no object of MessagePack.
    this.onMessageBytes(1, (client, bytes) => {
      const player = this.state.players.get(client.sessionId);
      if (!player || bytes.length !== 6) return;
      player.x = (bytes[0] | (bytes[1] << 8)) << 16 >> 16;
      player.z = (bytes[2] | (bytes[3] << 8)) << 16 >> 16;
      player.yaw = bytes[4];
      player.gait = bytes[5];
    });
  }

  onJoin(client) {
    this.state.players.set(client.sessionId, new Player());
  }

  onLeave(client) {
    this.state.players.delete(client.sessionId);
  }
}

const server = new Server({ transport: new WebSocketTransport({ pingInterval: 20_000 }), greet: false });
server.define("town", Town);
await server.listen(Number(process.argv[2]), "127.0.0.1");
console.log("listening");
