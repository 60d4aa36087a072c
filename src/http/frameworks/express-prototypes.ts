/** Members beneath the prototypes that a framework gives to all its requests, or to all its responses. */

import { IncomingMessage, ServerResponse } from "node:http";
import { InvalidOptionError } from "../../errors/errors.js";
import type { WriteListener } from "../../session/session.js";
import {
  type AttachedNames,
  type AttachedSession,
  accessorOf,
  attachedTo,
  lookUp,
} from "../attached-sessions.js";
import { DeferredHead, deferHead, type HeadedResponse, type HeadMethods } from "../deferred-head.js";
import type { ResponseOwner } from "../exchange.js";

/**
 * Express replaces the prototype of each request and response, and every property that is added to one after that, or only
 * asked for, costs V8 a search: adding what a response needs took longer than all else that a middleware does. What is
 * found on a prototype is there already. The layer is put where Express's own prototype ends and Node's begins, so
 * that all apps made by one copy of Express have it, whichever of their prototypes an object has in the meantime.
 */
export class PrototypeLayer {
  readonly #base: object;
  readonly #members: object;

  /** `base` is Node's prototype. */
  constructor(base: object, members: PropertyDescriptorMap) {
    this.#base = base;
    this.#members = Object.create(base, members);
  }

  /** Whether objects have had something by that name before. */
  hides(name: string): boolean {
    return name in this.#base;
  }

  add(name: string, member: PropertyDescriptor): void {
    if (!Object.hasOwn(this.#members, name)) Object.defineProperty(this.#members, name, member);
  }

  /** Whether `object` finds all of `names` here, with nothing in their way. False where there is no Express. */
  serves(object: object, names: readonly string[]): boolean {
    for (let one = object; one !== this.#members; ) {
      for (const name of names) if (Object.hasOwn(one, name)) return false;
      const next: object | null = Object.getPrototypeOf(one);
      if (next === null) return false;
      if (next === this.#base) return one !== object && this.#putBeneath(one);
      one = next;
    }
    return true;
  }

  /** Whether `object` has the layer beneath it now, whatever else may be in the way. */
  isBeneath(object: object): boolean {
    return Object.prototype.isPrototypeOf.call(this.#members, object);
  }

  #putBeneath(prototype: object): boolean {
    // A class has its own idea of what it extends.
    if (Object.hasOwn(prototype, "constructor")) return false;
    return Reflect.setPrototypeOf(prototype, this.#members);
  }
}

/** What the layer is in front of, also for who changes that later. */
const nodeRequest = IncomingMessage.prototype;

const requestLayer = new PrototypeLayer(nodeRequest, {
  emit: {
    configurable: true,
    writable: true,
    value(this: IncomingMessage, ...args: [string, ...unknown[]]): boolean {
      // Most events of most requests are nobody's concern.
      const isHeard = nodeRequest.listenerCount.call(this, args[0]) > 0;
      const mounted = isHeard ? attachedTo(this) : undefined;
      return mounted === undefined ? nodeRequest.emit.apply(this, args) : emitIn(mounted, this, args);
    },
  },
});

/** Calls the listeners of `request` in all its sessions. */
function emitIn(mounted: AttachedSession, request: IncomingMessage, args: [string, ...unknown[]]): boolean {
  let emit = (): boolean => nodeRequest.emit.apply(request, args);
  for (let one: AttachedSession | undefined = mounted; one !== undefined; one = one.before) {
    const { source, session } = one;
    const inner = emit;
    emit = () => source.run(session, inner);
  }
  return emit();
}

/**
 * Tells of a request whether it needs no properties by these `names`, and no `emit` that runs its listeners in its
 * sessions. Throws an `InvalidOptionError` for names that Node needs.
 */
export function layRequestProperties(names: AttachedNames): (request: IncomingMessage) => boolean {
  const taken = [names.redis, names.consistency];
  for (const name of taken) {
    if (requestLayer.hides(name))
      throw new InvalidOptionError(
        "properties",
        name,
        "give a name that Node has not taken",
        `got "${name}"`,
      );
    requestLayer.add(name, assignable(name));
  }
  const needed = ["emit", ...taken];
  return (request) => requestLayer.serves(request, needed);
}

function assignable(name: string): PropertyDescriptor & ThisType<object> {
  return {
    ...accessorOf(name),
    // Requests of other apps pass here too, and are free to have something else by that name.
    set(value: unknown) {
      if (lookUp(this, name) !== undefined)
        throw new TypeError(
          `The request's ${name} is that of its session: name the session's another way, with properties.`,
        );
      Object.defineProperty(this, name, { configurable: true, enumerable: true, writable: true, value });
    },
  };
}

/** A head that is held without its response knowing. */
class LayeredHead extends DeferredHead implements WriteListener {
  readonly keeper: ResponseOwner;
  /** Whether the response has the methods as its own, which no other prototype takes away. */
  isOwn = false;

  constructor(response: HeadedResponse, keeper: ResponseOwner) {
    super(response, keeper, nodeResponse);
    this.keeper = keeper;
  }

  isOf(response: HeadedResponse): boolean {
    return this.response === response;
  }

  writeBegins(): void {
    const { response } = this;
    if (this.isOwn || deferHeadAgain(response)) return;
    this.isOwn = true;
    // What others have put in front calls the layer's in the end.
    for (const [name, method] of Object.entries(this.methods()))
      if (!Object.hasOwn(response, name)) Object.assign(response, { [name]: method });
  }

  protected override get isWrapped(): boolean {
    return !responseLayer.serves(this.response, onlyWriteHead) && super.isWrapped;
  }
}

/** What the layer is in front of, also for who changes that later. */
const nodeResponse: HeadMethods = ServerResponse.prototype;

const methods: HeadMethods & ThisType<HeadedResponse> = {
  writeHead(...args) {
    const head = headOf(this);
    return head === undefined ? nodeResponse.writeHead.apply(this, args) : head.writeHead(args);
  },
  write(...args) {
    const head = headOf(this);
    return head === undefined ? nodeResponse.write.apply(this, args) : head.write(args);
  },
  end(...args) {
    const head = headOf(this);
    return head === undefined ? nodeResponse.end.apply(this, args) : head.end(args);
  },
  flushHeaders() {
    const head = headOf(this);
    if (head === undefined) nodeResponse.flushHeaders.call(this);
    else head.flushHeaders();
  },
};
const names = ["writeHead", "write", "end", "flushHeaders"] as const;
const onlyWriteHead = ["writeHead"];
const responseLayer = new PrototypeLayer(ServerResponse.prototype, Object.getOwnPropertyDescriptors(methods));

/**
 * Does what {@link deferHead} does, where it can without adding anything to `response`. Once a write has begun the methods are
 * the response's own, so that its head is held no matter which app answers: an app that another copy of Express has made finds
 * nothing beneath the prototype it gives.
 */
export function deferHeadByPrototype(response: HeadedResponse, keeper: ResponseOwner): void {
  const { session, store, before } = keeper;
  // These have something to bring without any write.
  const mayMoveOtherwise = store !== undefined || session.monotonicReads;
  const isFree = before === undefined && mountedFor(response) === keeper;
  if (mayMoveOtherwise || !isFree || !responseLayer.serves(response, names)) {
    deferHead(response, keeper);
    return;
  }
  const head = new LayeredHead(response, keeper);
  keeper.head = head;
  session.onWrite(head);
}

/** What was mounted last for the request that `response` tells. */
function mountedFor({ req: request }: HeadedResponse): AttachedSession | undefined {
  return typeof request === "object" && request !== null ? attachedTo(request) : undefined;
}

function headOf(response: HeadedResponse): LayeredHead | undefined {
  for (let one = mountedFor(response); one !== undefined; one = one.before) {
    const { head } = one;
    if (head instanceof LayeredHead && head.isOf(response)) return head;
  }
  return undefined;
}

/** Holds the head of a response that has lost what was beneath it; whether it had. */
export function deferHeadAgain(response: HeadedResponse): boolean {
  const head = headOf(response);
  if (head === undefined || head.isOwn || responseLayer.isBeneath(response)) return false;
  head.keeper.head = undefined;
  deferHead(response, head.keeper);
  return true;
}
