/** Adds members to all requests and responses of Express, through a prototype that is placed between Express's and Node's. */

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
 * Express replaces the prototype of each request and response. After that, V8 searches for every property that is added to the
 * object or read from it. Adding the four methods of a response took longer than all other work of the middleware. A member of a
 * prototype costs no such search. The layer is placed between Express's own prototype and Node's. All apps of one copy of Express
 * inherit from the layer, so it stays in place when a mounted app replaces the prototype of an object again.
 */
export class PrototypeLayer {
  readonly #base: object;
  readonly #members: object;

  /** `base` is the prototype of Node that the layer inherits from. */
  constructor(base: object, members: PropertyDescriptorMap) {
    this.#base = base;
    this.#members = Object.create(base, members);
  }

  /** Whether objects have a member of that name without the layer. */
  hides(name: string): boolean {
    return name in this.#base;
  }

  add(name: string, member: PropertyDescriptor): void {
    if (!Object.hasOwn(this.#members, name)) Object.defineProperty(this.#members, name, member);
  }

  /** Whether `object` inherits all of `names` from this layer, and nothing overrides them. False without Express. */
  serves(object: object, names: readonly string[]): boolean {
    for (let one = object; one !== this.#members; ) {
      for (const name of names) if (Object.hasOwn(one, name)) return false;
      const next: object | null = Object.getPrototypeOf(one);
      if (next === null) return false;
      if (next === this.#base) return one !== object && this.#insertBelow(one);
      one = next;
    }
    return true;
  }

  /** Whether `object` inherits from the layer now, even if other members override those of the layer. */
  isInheritedBy(object: object): boolean {
    return Object.prototype.isPrototypeOf.call(this.#members, object);
  }

  #insertBelow(prototype: object): boolean {
    // A prototype that belongs to a class is left alone.
    if (Object.hasOwn(prototype, "constructor")) return false;
    return Reflect.setPrototypeOf(prototype, this.#members);
  }
}

/** The layer looks up Node's methods here at each call, so that later changes to Node's prototype take effect. */
const nodeRequest = IncomingMessage.prototype;

const requestLayer = new PrototypeLayer(nodeRequest, {
  emit: {
    configurable: true,
    writable: true,
    value(this: IncomingMessage, ...args: [string, ...unknown[]]): boolean {
      // Most events of most requests have no listeners, so this is checked first.
      const hasListeners = nodeRequest.listenerCount.call(this, args[0]) > 0;
      const attached = hasListeners ? attachedTo(this) : undefined;
      return attached === undefined ? nodeRequest.emit.apply(this, args) : emitIn(attached, this, args);
    },
  },
});

/** Calls the listeners of `request` in all sessions of the request. */
function emitIn(attached: AttachedSession, request: IncomingMessage, args: [string, ...unknown[]]): boolean {
  let emit = (): boolean => nodeRequest.emit.apply(request, args);
  for (let one: AttachedSession | undefined = attached; one !== undefined; one = one.previous) {
    const { source, session } = one;
    const inner = emit;
    emit = () => source.run(session, inner);
  }
  return emit();
}

/**
 * Adds the properties `names` to the layer. The returned function tells whether a request inherits these properties, and an `emit`
 * that calls the request's listeners in its sessions. If not, the request needs members of its own. Throws an `InvalidOptionError`
 * for a name that Node uses.
 */
export function layRequestProperties(names: AttachedNames): (request: IncomingMessage) => boolean {
  const taken = [names.redis, names.consistency];
  for (const name of taken) {
    if (requestLayer.hides(name))
      throw new InvalidOptionError(
        "properties",
        name,
        "Choose another property name",
        `got "${name}", which every request of Node.js already has`,
      );
    requestLayer.add(name, assignable(name));
  }
  const needed = ["emit", ...taken];
  return (request) => requestLayer.serves(request, needed);
}

function assignable(name: string): PropertyDescriptor & ThisType<object> {
  return {
    ...accessorOf(name),
    // Apps without the middleware may set a property of that name on their requests.
    set(value: unknown) {
      if (lookUp(this, name) !== undefined)
        throw new TypeError(
          `request.${name} belongs to Tidemark and cannot be replaced. Choose another name for it with \`properties\`.`,
        );
      Object.defineProperty(this, name, { configurable: true, enumerable: true, writable: true, value });
    },
  };
}

/** A deferred head whose response inherits its methods from the layer. */
class LayeredHead extends DeferredHead implements WriteListener {
  readonly owner: ResponseOwner;
  /** Whether the methods are own properties of the response, so that a change of its prototype cannot remove them. */
  isOwn = false;

  constructor(response: HeadedResponse, owner: ResponseOwner) {
    super(response, owner, nodeResponse);
    this.owner = owner;
  }

  isOf(response: HeadedResponse): boolean {
    return this.response === response;
  }

  writeBegins(): void {
    const { response } = this;
    if (this.isOwn || deferHeadAgain(response)) return;
    this.isOwn = true;
    // A method that other middleware has put on the response calls the layer's method in the end.
    this.replaceMethods(true);
  }

  protected override get isWrapped(): boolean {
    return !responseLayer.serves(this.response, onlyWriteHead) && super.isWrapped;
  }
}

/** The layer looks up Node's methods here at each call, so that later changes to Node's prototype take effect. */
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
 * Does what {@link deferHead} does, without adding anything to `response` if possible. When the first write starts, the methods
 * become properties of the response. So the head is deferred even if an app of another copy of Express answers, and its prototype
 * does not inherit from the layer.
 */
export function deferHeadByPrototype(response: HeadedResponse, owner: ResponseOwner): void {
  const { session, store, previous } = owner;
  // If a carrier stores the token on the server, or with monotonic reads, the token may change without a write.
  const mayChangeWithoutWrite = store !== undefined || session.monotonicReads;
  const isAlone = previous === undefined && attachedFor(response) === owner;
  if (mayChangeWithoutWrite || !isAlone || !responseLayer.serves(response, names)) {
    deferHead(response, owner);
    return;
  }
  const head = new LayeredHead(response, owner);
  owner.head = head;
  session.onWrite(head);
}

/** The session that was attached last to the request of `response`. */
function attachedFor({ req: request }: HeadedResponse): AttachedSession | undefined {
  return typeof request === "object" && request !== null ? attachedTo(request) : undefined;
}

function headOf(response: HeadedResponse): LayeredHead | undefined {
  for (let one = attachedFor(response); one !== undefined; one = one.previous) {
    const { head } = one;
    if (head instanceof LayeredHead && head.isOf(response)) return head;
  }
  return undefined;
}

/** Defers the head of a response that no longer inherits from the layer. Returns false for any other response. */
export function deferHeadAgain(response: HeadedResponse): boolean {
  const head = headOf(response);
  if (head === undefined || head.isOwn || responseLayer.isInheritedBy(response)) return false;
  head.owner.head = undefined;
  deferHead(response, head.owner);
  return true;
}
