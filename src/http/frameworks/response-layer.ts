/** Heads that are held without anything being added to their responses. */
import { ServerResponse } from "node:http";
import type { WriteWatcher } from "../../session/session.js";
import { type Mounted, mountedOn } from "../attached-sessions.js";
import { type HeadedResponse, type HeadMethods, HeldHead, holdHead } from "../deferred-head.js";
import type { ResponseKeeper } from "../exchange.js";
import { Layer } from "./prototype-layer.js";

/** A head that is held without its response knowing. */
class LayeredHead extends HeldHead implements WriteWatcher {
  readonly keeper: ResponseKeeper;
  /** Whether the response has the methods as its own, which no other prototype takes away. */
  isOwn = false;

  constructor(response: HeadedResponse, keeper: ResponseKeeper) {
    super(response, keeper, nodes);
    this.keeper = keeper;
  }

  isOf(response: HeadedResponse): boolean {
    return this.response === response;
  }

  writeBegins(): void {
    const { response } = this;
    if (this.isOwn || holdAgain(response)) return;
    this.isOwn = true;
    // What others have put in front calls the layer's in the end.
    for (const [name, method] of Object.entries(this.methods()))
      if (!Object.hasOwn(response, name)) Object.assign(response, { [name]: method });
  }

  protected override get isWrapped(): boolean {
    return !layer.serves(this.response, onlyWriteHead) && super.isWrapped;
  }
}

/** What the layer is in front of, also for who changes that later. */
const nodes: HeadMethods = ServerResponse.prototype;

const methods: HeadMethods & ThisType<HeadedResponse> = {
  writeHead(...args) {
    const head = headOf(this);
    return head === undefined ? nodes.writeHead.apply(this, args) : head.writeHead(args);
  },
  write(...args) {
    const head = headOf(this);
    return head === undefined ? nodes.write.apply(this, args) : head.write(args);
  },
  end(...args) {
    const head = headOf(this);
    return head === undefined ? nodes.end.apply(this, args) : head.end(args);
  },
  flushHeaders() {
    const head = headOf(this);
    if (head === undefined) nodes.flushHeaders.call(this);
    else head.flushHeaders();
  },
};
const names = ["writeHead", "write", "end", "flushHeaders"] as const;
const onlyWriteHead = ["writeHead"];
const layer = new Layer(ServerResponse.prototype, Object.getOwnPropertyDescriptors(methods));

/**
 * Does what {@link holdHead} does, where it can without adding anything to `response`. Once a write has begun the methods are
 * the response's own, so that its head is held no matter which app answers: an app that another copy of Express has made finds
 * nothing beneath the prototype it gives.
 */
export function holdBeneath(response: HeadedResponse, keeper: ResponseKeeper): void {
  const { session, store, before } = keeper;
  // These have something to bring without any write.
  const mayMoveOtherwise = store !== undefined || session.monotonicReads;
  const isFree = before === undefined && mountedFor(response) === keeper;
  if (mayMoveOtherwise || !isFree || !layer.serves(response, names)) {
    holdHead(response, keeper);
    return;
  }
  const head = new LayeredHead(response, keeper);
  keeper.head = head;
  session.onWrite(head);
}

/** What was mounted last for the request that `response` tells. */
function mountedFor({ req: request }: HeadedResponse): Mounted | undefined {
  return typeof request === "object" && request !== null ? mountedOn(request) : undefined;
}

function headOf(response: HeadedResponse): LayeredHead | undefined {
  for (let one = mountedFor(response); one !== undefined; one = one.before) {
    const { head } = one;
    if (head instanceof LayeredHead && head.isOf(response)) return head;
  }
  return undefined;
}

/** Holds the head of a response that has lost what was beneath it; whether it had. */
export function holdAgain(response: HeadedResponse): boolean {
  const head = headOf(response);
  if (head === undefined || head.isOwn || layer.isBeneath(response)) return false;
  head.keeper.head = undefined;
  holdHead(response, head.keeper);
  return true;
}
