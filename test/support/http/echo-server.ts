/** A server that answers what it is sent, for sockets that requests share. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

interface Echoes extends AsyncDisposable {
  connect(): Promise<Socket>;
}

export async function echoes(): Promise<Echoes> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const sockets: Socket[] = [];
  return {
    connect: async () => {
      const socket = connect(address.port, "127.0.0.1").setMaxListeners(0);
      sockets.push(socket);
      await once(socket, "connect");
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
