/** Connections to a primary that are lent to one borrower at a time, for what must not be sent over a shared one. */
import type { RedisOptions } from "ioredis";
import { Node } from "../node/node.js";
import type { Follower, Followers } from "../shard/primary-followers.js";

const maxIdle = 8;
const maxIdleMs = 10_000;

interface Idle {
  readonly node: Node;
  readonly server: RedisOptions;
  readonly expiry: NodeJS.Timeout;
}

/** Opens as many as are borrowed at once, and keeps a few of those given back for the next. */
export class ConnectionPool implements Follower {
  #idle: Idle[] = [];
  /** Each with the server it is to. */
  readonly #lent = new Map<Node, RedisOptions>();
  readonly #followers: Followers;
  #closed = false;
  /** The name of new connections in `CLIENT LIST`; undefined for that of the options. */
  connectionName: string | undefined;

  constructor(followers: Followers) {
    this.#followers = followers;
  }

  /** Whether the pool was closed on purpose. */
  get closed(): boolean {
    return this.#closed;
  }

  /** A connection to the server of `primary` with nobody else's commands on it; it may yet have to be connected. */
  acquire({ connection: { server, ready, timeoutMs, proxySign } }: Node): Node {
    const isAlike = (one: Idle): boolean =>
      one.server === server && one.node.connection.proxySign === proxySign;
    const idle = this.#idle.find(isAlike);
    const node = idle?.node ?? Node.dedicated(this.#lentOptions(server, ready), timeoutMs, proxySign);
    if (idle !== undefined) this.#take(idle);
    this.#lent.set(node, server);
    this.#followers.add(this);
    if (this.#closed) node.connection.close();
    return node;
  }

  /** Takes back a connection that is as it was when lent: nothing in flight, nothing watched, nothing queued. */
  release(node: Node): void {
    const server = this.#lent.get(node);
    if (this.#closed || server === undefined || !node.connection.ready || this.#idle.length >= maxIdle) {
      this.end(node);
      return;
    }
    const expiry = setTimeout(() => {
      this.#take(idle);
      node.connection.close();
    }, maxIdleMs).unref();
    const idle: Idle = { node, server, expiry };
    this.#idle.push(idle);
    this.#isOver(node);
  }

  /** Ends a lent connection that is not as it was. */
  end(node: Node): void {
    this.#isOver(node);
    node.connection.close();
  }

  /** Closes all connections to a server that was demoted; borrowers continue at the next primary. */
  leave({ connection }: Node): void {
    for (const idle of this.#idle.filter(({ server }) => server === connection.server)) {
      this.#take(idle);
      idle.node.connection.close();
    }
    for (const [node, server] of this.#lent) if (server === connection.server) node.connection.retire();
  }

  /** Whether commands of those who borrow are unanswered, other than those that block for longer than `ms`. */
  isBusyFor(ms: number): boolean {
    return [...this.#lent.keys()].some(({ connection }) => connection.isBusyFor(ms));
  }

  /** Resolves when all that was given to those who borrow is answered. */
  async drained(): Promise<void> {
    await Promise.allSettled([...this.#lent.keys()].map((node) => node.quit()));
  }

  /** Lends again after it was closed. */
  open(): void {
    this.#closed = false;
  }

  /** Ends all, lent ones too: what is unanswered is rejected. */
  close(): void {
    this.#closed = true;
    for (const { node, expiry } of this.#idle) {
      clearTimeout(expiry);
      node.connection.close();
    }
    this.#idle = [];
    for (const node of [...this.#lent.keys()]) this.end(node);
    this.#restIfEmpty();
  }

  #isOver(node: Node): void {
    this.#lent.delete(node);
    this.#restIfEmpty();
  }

  /** Idle connections have to be left as well, or the next borrower would find one that nobody answers. */
  #restIfEmpty(): void {
    if (this.#lent.size === 0 && this.#idle.length === 0) this.#followers.remove(this);
  }

  #take(idle: Idle): void {
    clearTimeout(idle.expiry);
    this.#idle = this.#idle.filter((one) => one !== idle);
    this.#restIfEmpty();
  }

  /** A command waits for the connection that is opened for it, and none is sent again outside of its transaction. */
  #lentOptions(server: RedisOptions, isConnected: boolean): RedisOptions {
    const { connectionName = server.connectionName } = this;
    return {
      ...server,
      ...(connectionName === undefined ? {} : { connectionName }),
      lazyConnect: false,
      enableOfflineQueue: isConnected || server.enableOfflineQueue !== false,
      reconnectOnError: (error) => Boolean(server.reconnectOnError?.(error)),
    };
  }
}
