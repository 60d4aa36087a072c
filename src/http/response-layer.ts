/** Heads that are held without anything being added to their responses. */
import { ServerResponse } from "node:http";
import type { Exchange } from "./exchange.js";
import { type HeadedResponse, type HeadMethods, HeldHead, holdHead } from "./held-head.js";
import { Layer } from "./layer.js";

interface Held {
  readonly exchange: Exchange;
  readonly head: HeldHead;
  /** Whether the response has the methods as its own, which no other prototype takes away. */
  isOwn: boolean;
}

const heads = new WeakMap<HeadedResponse, Held>();
/** What the layer is in front of, also for who changes that later. */
const nodes: HeadMethods = ServerResponse.prototype;

const methods: HeadMethods & ThisType<HeadedResponse> = {
  writeHead(...args) {
    const head = heads.get(this)?.head;
    return head === undefined ? nodes.writeHead.apply(this, args) : head.writeHead(args);
  },
  write(...args) {
    const head = heads.get(this)?.head;
    return head === undefined ? nodes.write.apply(this, args) : head.write(args);
  },
  end(...args) {
    const head = heads.get(this)?.head;
    return head === undefined ? nodes.end.apply(this, args) : head.end(args);
  },
  flushHeaders() {
    const head = heads.get(this)?.head;
    if (head === undefined) nodes.flushHeaders.call(this);
    else head.flushHeaders();
  },
};
const names = ["writeHead", "write", "end", "flushHeaders"] as const;
const onlyWriteHead = ["writeHead"];
const layer = new Layer(ServerResponse.prototype, Object.getOwnPropertyDescriptors(methods));

/**
 * Does what {@link holdHead} does, where it can without adding anything to `response`. Once a write has begun the methods are
 * the response's own, so that its head is held whoever answers: an app that another copy of Express has made finds
 * nothing beneath the prototype it gives.
 */
export function holdBeneath(response: HeadedResponse, exchange: Exchange): void {
  const { session, store } = exchange;
  // These have something to bring without any write.
  const mayMoveOtherwise = store !== undefined || session.monotonicReads;
  if (mayMoveOtherwise || heads.has(response) || !layer.serves(response, names)) {
    holdHead(response, exchange);
    return;
  }
  const held = { exchange, head: new HeldHead(response, exchange, nodes, isWrapped), isOwn: false };
  heads.set(response, held);
  session.onWrite(() => {
    if (held.isOwn || holdAgain(response)) return;
    held.isOwn = true;
    // What others have put in front calls these in the end.
    for (const name of names)
      if (!Object.hasOwn(response, name)) Object.assign(response, { [name]: methods[name] });
  });
}

function isWrapped(response: HeadedResponse): boolean {
  return !layer.serves(response, onlyWriteHead) && response.writeHead !== methods.writeHead;
}

/** Holds the head of a response that has lost what was beneath it; whether it had. */
export function holdAgain(response: HeadedResponse): boolean {
  const held = heads.get(response);
  if (held === undefined || held.isOwn || layer.isBeneath(response)) return false;
  heads.delete(response);
  holdHead(response, held.exchange);
  return true;
}
