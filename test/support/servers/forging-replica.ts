/** A client that a primary takes for one of its replicas, and that chooses what the primary's INFO says of it. */

import { once } from "node:events";
import { connect } from "node:net";
import { waitUntil } from "../wait-until.js";
import type { RedisServer } from "./redis-server.js";

/** Makes the handshake of a replica, with `address` for its own. The server lists it until it is disposed of. */
export async function forgeReplica(server: RedisServer, address: string, port = 6_380): Promise<Disposable> {
  const socket = connect(server.port, server.host);
  socket.on("error", () => {});
  let replies = "";
  socket.on("data", (bytes) => {
    replies += bytes.toString("latin1");
  });
  await once(socket, "connect");
  const send = (...words: readonly string[]): void => {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join("")}`);
  };
  send("REPLCONF", "listening-port", String(port));
  send("REPLCONF", "ip-address", address);
  send("REPLCONF", "capa", "eof", "capa", "psync2");
  // Redis refuses PSYNC while replies are on their way.
  await waitUntil(() => replies.split("+OK").length > 3, { what: "the handshake is answered" });
  send("PSYNC", "?", "-1");
  await waitUntil(async () => (await server.admin().info("replication")).includes(address), {
    what: "the server lists the forged replica",
  });
  return { [Symbol.dispose]: () => socket.destroy() };
}
