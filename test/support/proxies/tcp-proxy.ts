/** Stands between a client and a server on the loopback and breaks the connection in chosen ways. */

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

const HOST = "127.0.0.1";

export interface ProxyTarget {
  readonly targetPort: number;
  readonly targetHost?: string;
}

/** Where the bytes for one client go. Order is sacred: what is written first arrives first. */
export interface Outlet {
  write(chunk: Buffer): void;
  /** Closes the client after everything written before. */
  end(): void;
}

/** One client, and the connection to the target that was made for it. */
export interface Connection {
  readonly client: Socket;
  readonly target: Socket;
  readonly outlet: Outlet;
  /** The last bytes passed to the client, for a trapped reply that arrives in pieces. */
  passed: Buffer;
}

interface ReplyTrap {
  readonly text: Buffer;
  /** Called for a connection when the text has passed; `rest` are the bytes after it. */
  readonly spring: (connection: Connection, rest: Buffer) => void;
}

export class TcpProxy implements AsyncDisposable {
  readonly host = HOST;
  #targetPort: number;
  readonly #targetHost: string;
  readonly #listener: Server;
  readonly #connections = new Set<Connection>();
  #trap: ReplyTrap | undefined;
  #isCut = false;
  protected isStalled = false;

  /** Listens on a free port. */
  static async start<Proxy extends TcpProxy>(
    this: new (
      target: ProxyTarget,
    ) => Proxy,
    target: ProxyTarget,
  ): Promise<Proxy> {
    // Of whichever kind it is called on.
    const proxy = new this(target);
    await proxy.listen();
    return proxy;
  }

  constructor({ targetPort, targetHost = HOST }: ProxyTarget) {
    this.#targetPort = targetPort;
    this.#targetHost = targetHost;
    this.#listener = createServer((client) => this.#accept(client));
  }

  protected async listen(): Promise<void> {
    this.#listener.listen(0, HOST);
    await once(this.#listener, "listening");
  }

  protected openOutlet(client: Socket): Outlet {
    return {
      write: (chunk) => client.write(chunk),
      end: () => client.destroySoon(),
    };
  }

  /** The open ones. */
  protected get links(): Iterable<Connection> {
    return this.#connections;
  }

  /** Passes on what a client sends. */
  protected forward({ target }: Connection, chunk: Buffer): void {
    target.write(chunk);
  }

  /** Whether `cutAfterReply()` and `stallAfterReply()` look for their text in what this client is sent. */
  protected isTrapped(_connection: Connection): boolean {
    return true;
  }

  get port(): number {
    const address = this.#listener.address();
    if (address === null || typeof address === "string") throw new Error("the proxy is stopped");
    return address.port;
  }

  /** How many clients are connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Sends new connections to another port of the same host; open ones stay where they are. */
  retarget(port: number): void {
    this.#targetPort = port;
  }

  /**
   * Lets replies pass up to and including the next occurrence of `text`, on whichever connection it comes
   * first, and then closes that connection on both sides. Resolves when that has happened.
   */
  cutAfterReply(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#setTrap(text, ({ client, target }) => {
        // The "close" of the target ends the client, after the bytes that passed.
        target.destroy();
        client.once("close", resolve);
      });
    });
  }

  /** The same, but then stalls until `unstall()`. */
  stallAfterReply(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#setTrap(text, ({ target }, rest) => {
        this.stall();
        target.unshift(rest);
        resolve();
      });
    });
  }

  /**
   * Closes all connections and resets new ones until `mend()`. The port stays ours meanwhile: a released one
   * could be taken by any process before it is wanted back.
   */
  cut(): void {
    this.#isCut = true;
    for (const link of this.#connections) sever(link);
  }

  mend(): void {
    this.#isCut = false;
  }

  /** Keeps connections open, and accepts new ones, but reads nothing from either side until `unstall()`. */
  stall(): void {
    this.isStalled = true;
    for (const link of this.#connections) freeze(link);
  }

  unstall(): void {
    this.isStalled = false;
    for (const link of this.#connections) thaw(link);
  }

  async stop(): Promise<void> {
    this.cut();
    if (!this.#listener.listening) return;
    this.#listener.close();
    await once(this.#listener, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(client: Socket): void {
    // Both ends vanish at any time here; the "close" that follows an error is what counts.
    client.on("error", () => {});
    if (this.#isCut) {
      client.resetAndDestroy();
      return;
    }
    const target = connect(this.#targetPort, this.#targetHost).on("error", () => {});
    const connection: Connection = {
      client,
      target,
      outlet: this.openOutlet(client),
      passed: Buffer.alloc(0),
    };
    this.#connections.add(connection);
    client.setNoDelay(true);
    target.setNoDelay(true);
    // Before the "data" listeners, which would otherwise start the flow.
    if (this.isStalled) freeze(connection);
    client.on("data", (chunk) => this.forward(connection, chunk));
    target.on("data", (chunk) => this.#reply(connection, chunk));
    target.on("close", () => connection.outlet.end());
    client.on("close", () => {
      this.#connections.delete(connection);
      target.destroySoon();
    });
  }

  #reply(connection: Connection, chunk: Buffer): void {
    const trap = this.#trap;
    if (!trap || !this.isTrapped(connection)) {
      connection.outlet.write(chunk);
      return;
    }
    const seen = Buffer.concat([connection.passed, chunk]);
    const at = seen.indexOf(trap.text);
    if (at < 0) {
      connection.passed = seen.subarray(Math.max(0, seen.length - trap.text.length + 1));
      connection.outlet.write(chunk);
      return;
    }
    this.#trap = undefined;
    const end = at + trap.text.length - connection.passed.length;
    connection.outlet.write(chunk.subarray(0, end));
    trap.spring(connection, chunk.subarray(end));
  }

  #setTrap(text: string, spring: ReplyTrap["spring"]): void {
    for (const connection of this.#connections) connection.passed = Buffer.alloc(0);
    this.#trap = { text: Buffer.from(text), spring };
  }
}

/** Closes both ends at once. */
export function sever({ client, target }: Connection): void {
  client.destroy();
  target.destroy();
}

/** Reads from neither end until it is thawed. */
export function freeze({ client, target }: Connection): void {
  client.pause();
  target.pause();
}

export function thaw({ client, target }: Connection): void {
  client.resume();
  target.resume();
}
