/** Connections to a primary that are lent to one borrower at a time, for what must not be sent over a shared one. */
import { Node } from "./node.js";

const maxIdle = 8;
const maxIdleMs = 10_000;

interface Idle {
  readonly node: Node;
  readonly expiry: NodeJS.Timeout;
}

/** Opens as many as are borrowed at once, and keeps a few of those given back for the next. */
export class Pool {
  #idle: Idle[] = [];
  readonly #lent = new Set<Node>();
  #closed = false;

  /** A connection to the server of `primary` with nobody else's commands on it; it may yet have to be connected. */
  lend(primary: Node): Node {
    const idle = this.#idle.find(({ node }) => node.connection.server === primary.connection.server);
    const node = idle?.node ?? Node.primary(primary.connection.server, () => {});
    if (idle !== undefined) this.#take(idle);
    this.#lent.add(node);
    if (this.#closed) node.close();
    return node;
  }

  /** Takes back a connection that is as it was when lent: nothing in flight, nothing watched, nothing queued. */
  giveBack(node: Node): void {
    if (this.#closed || !node.connection.ready || this.#idle.length >= maxIdle) {
      this.end(node);
      return;
    }
    this.#lent.delete(node);
    const expiry = setTimeout(() => {
      this.#take(idle);
      node.close();
    }, maxIdleMs).unref();
    const idle: Idle = { node, expiry };
    this.#idle.push(idle);
  }

  /** Ends a lent connection that is not as it was. */
  end(node: Node): void {
    this.#lent.delete(node);
    node.close();
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
      node.close();
    }
    for (const node of this.#lent) node.close();
    this.#idle = [];
    this.#lent.clear();
  }

  #take(idle: Idle): void {
    clearTimeout(idle.expiry);
    this.#idle = this.#idle.filter((one) => one !== idle);
  }
}
