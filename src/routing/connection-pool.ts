/** Lends connections to a primary to one borrower at a time, for commands that must not use a shared connection. */
import type { RedisOptions } from "ioredis";
import { Node } from "../node/node.js";
import type { PrimaryDependent, PrimaryDependents } from "../shard/primary-dependents.js";

const maxIdle = 8;
const maxIdleMs = 10_000;

interface Idle {
  readonly node: Node;
  readonly server: RedisOptions;
  readonly expiry: NodeJS.Timeout;
}

/** Opens as many connections as are borrowed at once. Keeps a few returned connections for the next borrowers. */
export class ConnectionPool implements PrimaryDependent {
  #idle: Idle[] = [];
  /** The lent connections, each with its server. */
  readonly #lent = new Map<Node, RedisOptions>();
  readonly #dependents: PrimaryDependents;
  #closed = false;
  /** The name of new connections in `CLIENT LIST`. Undefined to use the name in the options. */
  connectionName: string | undefined;

  constructor(dependents: PrimaryDependents) {
    this.#dependents = dependents;
  }

  /** Whether the pool was closed on purpose. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Lends a connection to the server of `primary` that carries no other commands. The connection may not be connected yet. */
  acquire({ connection: { server, ready, timeoutMs, proxySign } }: Node): Node {
    const isAlike = (one: Idle): boolean =>
      one.server === server && one.node.connection.proxySign === proxySign;
    const idle = this.#idle.find(isAlike);
    const node = idle?.node ?? Node.dedicated(this.#lentOptions(server, ready), timeoutMs, proxySign);
    if (idle !== undefined) this.#take(idle);
    this.#lent.set(node, server);
    this.#dependents.add(this);
    if (this.#closed) node.connection.close();
    return node;
  }

  /** Takes back a connection that is as it was when it was lent: nothing in flight, nothing watched, nothing queued. */
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

  /** Closes a lent connection that is not as it was when it was lent. */
  end(node: Node): void {
    this.#isOver(node);
    node.connection.close();
  }

  /** Closes all connections to a server that was demoted. Borrowers continue at the next primary. */
  leave({ connection }: Node): void {
    for (const idle of this.#idle.filter(({ server }) => server === connection.server)) {
      this.#take(idle);
      idle.node.connection.close();
    }
    for (const [node, server] of this.#lent) if (server === connection.server) node.connection.retire();
  }

  /** Whether commands of borrowers are unanswered. Commands that block for longer than `ms` milliseconds do not count. */
  isBusyFor(ms: number): boolean {
    return [...this.#lent.keys()].some(({ connection }) => connection.isBusyFor(ms));
  }

  /** Resolves when all commands of the borrowers are answered. */
  async drained(): Promise<void> {
    await Promise.allSettled([...this.#lent.keys()].map((node) => node.quit()));
  }

  /** Makes the pool lend again after it was closed. */
  open(): void {
    this.#closed = false;
  }

  /** Closes all connections, including lent ones. Unanswered commands are rejected. */
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

  /**
   * Stops following the primary once the pool has no connections. With idle connections it has to follow, because otherwise the
   * next borrower could get a connection that no server answers.
   */
  #restIfEmpty(): void {
    if (this.#lent.size === 0 && this.#idle.length === 0) this.#dependents.remove(this);
  }

  #take(idle: Idle): void {
    clearTimeout(idle.expiry);
    this.#idle = this.#idle.filter((one) => one !== idle);
    this.#restIfEmpty();
  }

  /**
   * The options of a lent connection. With them a command waits until the connection that is opened for it is ready, and ioredis
   * never resends a command, because it could run outside of its transaction.
   */
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
