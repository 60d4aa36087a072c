/** Stands between clients and a server, and treats some of its connections worse than others. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class FickleProxy implements AsyncDisposable {
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #age = 0;
  #delayMs = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => this.#lead(client));
  }

  static async start(targetPort: number): Promise<FickleProxy> {
    const proxy = new FickleProxy(targetPort);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Makes black holes of the connections that there are: they stay open, and nothing passes any more. */
  swallow(): void {
    this.#age += 1;
  }

  /** Has what the server says pass so much later on the connections that are opened from now on. */
  delayNewcomers(ms: number): void {
    this.#delayMs = ms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #lead(client: Socket): void {
    const [age, delayMs] = [this.#age, this.#delayMs];
    const server = connect(this.#targetPort, "127.0.0.1");
    const pass = (to: Socket, data: Buffer): void => {
      if (age === this.#age && !to.destroyed) to.write(data);
    };
    client.on("data", (data) => pass(server, data));
    server.on("data", (data) => {
      if (delayMs === 0) pass(client, data);
      else setTimeout(pass, delayMs, client, data);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
