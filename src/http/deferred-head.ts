/**
 * Defers the head of a response, which is its status and headers, until the token can cover every write that the request has
 * started.
 */
import type { CarrierResponse } from "./carriers/carrier.js";
import { Given } from "./given-object.js";

/**
 * The part of Node's `ServerResponse` that a deferred head uses. The names with an underscore are Node's; other middleware uses
 * them too.
 */
export interface HeadedResponse extends CarrierResponse {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  /** The request that this response answers, according to Node. */
  readonly req?: unknown;
  readonly writableEnded?: boolean;
  readonly writableNeedDrain: boolean;
  /** The head as Node will send it; empty until Node has built it. */
  _header?: string | null;
  readonly _headerSent?: boolean;
  /** The length of the body that Node writes into an implicit head. */
  _contentLength?: number | null;
  setHeader(name: string, value: unknown): unknown;
  appendHeader(name: string, value: unknown): unknown;
  removeHeader(name: string): unknown;
  getHeaderNames(): readonly string[];
  writeHead(...args: unknown[]): unknown;
  write(...args: unknown[]): boolean;
  end(...args: unknown[]): unknown;
  flushHeaders(): void;
  destroy(error?: Error): unknown;
  on(event: "close", listener: () => void): unknown;
  once(event: "close", listener: () => void): unknown;
  emit(event: "drain"): unknown;
}

/** The methods that send a head. */
export type HeadMethods = Pick<HeadedResponse, "writeHead" | "write" | "end" | "flushHeaders">;

/**
 * A deferred call. This and the other parts of a head are classes with links, because V8 may place literals among old objects, and
 * each of these leads to its response.
 */
class Call {
  readonly name: keyof HeadMethods;
  readonly args: readonly unknown[];
  next: Call | undefined;

  constructor(name: keyof HeadMethods, args: readonly unknown[]) {
    this.name = name;
    this.args = args;
  }
}

/** Deferred calls, in order. */
class Calls {
  first: Call | undefined;
  #last: Call | undefined;

  add(name: keyof HeadMethods, args: readonly unknown[]): void {
    const call = new Call(name, args);
    if (this.#last === undefined) this.first = call;
    else this.#last.next = call;
    this.#last = call;
  }
}

/** The value that a header had before the token was set. */
class ReplacedHeader {
  readonly name: string;
  readonly value: unknown;
  /** The header that was replaced before this one. */
  readonly earlier: ReplacedHeader | undefined;

  constructor(name: string, value: unknown, earlier: ReplacedHeader | undefined) {
    this.name = name;
    this.value = value;
    this.earlier = earlier;
  }
}

/** Decides what a head waits for and which headers bring the token. */
export interface HeadOwner {
  /** Resolves when all writes started so far are settled; undefined when there is nothing to wait for. */
  settled(): Promise<void> | undefined;
  /**
   * Called when Node builds the head, even if writes are not settled yet, because a session middleware may save its session now.
   */
  headBuilt(): void;
  /**
   * Sets the headers that bring the token. Called just before the head is sent, and again if Node refuses that head. Must not
   * throw.
   */
  carry(response: CarrierResponse): void;
  /** Called with how long the head has waited for writes, in milliseconds. */
  held(ms: number): void;
  /** Called when the first bytes were sent, after the hooks of all middleware that was mounted earlier. */
  headSent(): void;
}

/** Replaces `writeHead`, `write`, `end` and `flushHeaders` of a response by those of a {@link DeferredHead}. */
export function deferHead(response: HeadedResponse, owner: HeadOwner): void {
  const { writeHead, write, end, flushHeaders } = response;
  new DeferredHead(response, owner, { writeHead, write, end, flushHeaders }).replaceMethods();
}

const place = Symbol("tidemark.head");

/** A response whose own methods are {@link OwnMethods}, or an object that inherits from such a response or stands for it. */
interface Headed {
  readonly [place]: DeferredHead;
}

function writeHead(this: Headed, ...args: unknown[]): unknown {
  return this[place].writeHead(args);
}

function write(this: Headed, ...args: unknown[]): boolean {
  return this[place].write(args);
}

function end(this: Headed, ...args: unknown[]): unknown {
  return this[place].end(args);
}

function flushHeaders(this: Headed): void {
  this[place].flushHeaders();
}

/**
 * Adds the methods to a response. All responses share the four functions, and V8 defines the fields of a class faster than it
 * assigns properties: in 0.1 instead of 5 microseconds. Only a response of Express on Node 20 gains nothing, because V8 searches
 * for each new property after a change of the prototype.
 */
class OwnMethods extends Given implements Headed {
  readonly [place]: DeferredHead;
  readonly writeHead = writeHead;
  readonly write = write;
  readonly end = end;
  readonly flushHeaders = flushHeaders;

  constructor(response: HeadedResponse, head: DeferredHead) {
    super(response);
    this[place] = head;
  }
}

/**
 * Replaces the four methods of a response that send its head. If no write is in flight, each method calls the original at once. If
 * writes are in flight, calls of `write`, `end` and `flushHeaders` are deferred in order. The head then waits for all writes that
 * started before the first deferred call. If `end` is called meanwhile, the head also waits for the writes that started before
 * `end`. Node builds the head at its usual time, so errors, `headersSent` and listeners behave as always. If the token has to go
 * into a head that was built but not sent, the head is built again.
 */
export class DeferredHead implements CarrierResponse {
  protected readonly response: HeadedResponse;
  readonly #owner: HeadOwner;
  readonly #original: HeadMethods;
  #writeHead: HeadMethods["writeHead"] | undefined;
  #isBuilt = false;
  #builtCode = 0;
  #builtMessage = "";
  /** The headers that Node built the head from and did not store on the response. */
  #givenHeaders: readonly GivenHeader[] = noHeaders;
  /** The previous values of the headers that bring the token, for a head that Node refuses. */
  #replaced: ReplacedHeader | undefined;
  /** Whether the built head was discarded, because the token has to go into it. */
  #isDiscarded = false;
  #deferred: Calls | undefined;
  #pending: Promise<void> | undefined;
  #heldSince = 0;
  #mustEmitDrain = false;
  #isReleased = false;
  #isSentReported = false;

  constructor(response: HeadedResponse, owner: HeadOwner, original: HeadMethods) {
    this.response = response;
    this.#owner = owner;
    this.#original = original;
  }

  /** Puts the methods on the response. If `keepsOwn` is true, methods that the response itself has stay in place. */
  replaceMethods(keepsOwn = false): void {
    const { response } = this;
    // The shared functions find one head only. Another head's methods would call themselves without end.
    if (!(place in response) && !(keepsOwn && names.some((name) => Object.hasOwn(response, name)))) {
      this.#writeHead = writeHead;
      new OwnMethods(response, this);
      return;
    }
    this.#writeHead = (...args) => this.writeHead(args);
    const methods: HeadMethods = {
      writeHead: this.#writeHead,
      write: (...args) => this.write(args),
      end: (...args) => this.end(args),
      flushHeaders: () => this.flushHeaders(),
    };
    for (const name of names)
      if (!keepsOwn || !Object.hasOwn(response, name)) Object.assign(response, { [name]: methods[name] });
  }

  /** Whether other middleware has replaced `writeHead` after {@link replaceMethods} was called. */
  protected get isWrapped(): boolean {
    return this.response.writeHead !== this.#writeHead;
  }

  getHeader(name: string): number | string | readonly string[] | undefined {
    if (this.#givenHeaders.length > 0) this.#discardBuilt();
    return this.response.getHeader(name);
  }

  setHeader(name: string, value: string | readonly string[]): void {
    const { response } = this;
    if (response.headersSent) this.#discardBuilt();
    else if (!this.#isDiscarded) this.#storePrevious(name);
    response.setHeader(name, value);
  }

  #storePrevious(name: string): void {
    this.#replaced = new ReplacedHeader(name, this.response.getHeader(name), this.#replaced);
  }

  /** Discards a head that was built but not sent, and sets its headers on the response, where Node has not stored them. */
  #discardBuilt(): void {
    const { response } = this;
    if (!response.headersSent || response._headerSent) return;
    response._header = null;
    this.#isDiscarded = true;
    setAll(response, this.#givenHeaders);
    this.#givenHeaders = noHeaders;
  }

  writeHead(args: unknown[]): unknown {
    const { response } = this;
    if (this.#isReleased) {
      this.#original.writeHead.apply(response, args);
      return response;
    }
    this.#owner.headBuilt();
    this.#original.writeHead.apply(response, args);
    this.#isBuilt = true;
    this.#builtCode = response.statusCode;
    this.#builtMessage = response.statusMessage;
    if (args.length > 1 && response.getHeaderNames().length === 0) this.#givenHeaders = this.#stillIn(args);
    return response;
  }

  /** The headers given to `writeHead` that no listener has removed again. */
  #stillIn(args: readonly unknown[]): readonly GivenHeader[] {
    const head = this.response._header ?? "";
    return headersAmong(args).filter(([name]) => head.includes(`\r\n${name}: `));
  }

  write(args: unknown[]): boolean {
    if (!isChunk(args[0]) || this.#maySend()) return this.#callOriginal("write", args);
    this.#deferred?.add("write", args);
    this.#mustEmitDrain = true;
    return false;
  }

  end(args: unknown[]): unknown {
    const { response } = this;
    const [chunk] = args;
    if (chunk && !isChunk(chunk) && typeof chunk !== "function")
      return this.#original.end.apply(response, args);
    if (this.#maySend(args)) return this.#callOriginal("end", args);
    this.#deferred?.add("end", args);
    if (!response.writableEnded) {
      this.#pending = this.#owner.settled() ?? this.#pending;
      Object.defineProperty(response, "writableEnded", { value: true, configurable: true });
    }
    return response;
  }

  flushHeaders(): void {
    if (this.#maySend()) this.#callOriginal("flushHeaders", noArguments);
    else this.#deferred?.add("flushHeaders", noArguments);
  }

  #callOriginal<Name extends Call["name"]>(
    name: Name,
    args: readonly unknown[],
  ): ReturnType<HeadMethods[Name]> {
    try {
      const result = Reflect.apply(this.#original[name], this.response, args);
      this.#reportSent();
      return result;
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  /** Removes the token from a head that Node has refused, because the handler that answers instead may also write. */
  #takeBack(): void {
    const { response } = this;
    if (response.headersSent || this.#isSentReported) return;
    this.#isReleased = false;
    for (let one = this.#replaced; one !== undefined; one = one.earlier) {
      const { name, value } = one;
      if (value === undefined) response.removeHeader(name);
      else response.setHeader(name, value);
    }
    this.#replaced = undefined;
  }

  #reportSent(): void {
    if (!this.#isReleased || this.#isSentReported) return;
    this.#isSentReported = true;
    this.#owner.headSent();
  }

  /**
   * Whether bytes may be sent now. In a call of `end`, `ending` is set to the arguments. If `end` is the first call, the arguments
   * contain the whole body.
   */
  #maySend(ending?: readonly unknown[]): boolean {
    if (this.#isReleased) return true;
    if (this.#deferred !== undefined) return false;
    // Middleware that has wrapped writeHead runs when the head is built, and may start a write even then, so the head is built
    // first.
    if (this.isWrapped) this.#buildHead(ending);
    const pending = this.#owner.settled();
    if (pending === undefined) {
      this.#sendHead();
      return true;
    }
    this.#buildHead(ending);
    this.#deferred = new Calls();
    this.#heldSince = performance.now();
    this.response.once("close", () => this.#sendDeferred());
    this.#waitFor(pending);
    return false;
  }

  #buildHead(ending: readonly unknown[] | undefined): void {
    const { response } = this;
    if (response.headersSent) return;
    if (ending !== undefined) response._contentLength = lengthOf(ending);
    response.writeHead(response.statusCode);
  }

  #waitFor(pending: Promise<void>): void {
    this.#pending = pending;
    const arrive = () => {
      if (this.#pending === undefined || this.#pending === pending) this.#sendDeferred();
      else this.#waitFor(this.#pending);
    };
    pending.then(arrive, arrive);
  }

  #sendDeferred(): void {
    const deferred = this.#deferred;
    const { response } = this;
    if (deferred === undefined) return;
    this.#deferred = undefined;
    this.#owner.held(performance.now() - this.#heldSince);
    try {
      this.#sendHead();
      for (let call = deferred.first; call !== undefined; call = call.next)
        Reflect.apply(this.#original[call.name], response, call.args);
      this.#reportSent();
    } catch (error) {
      response.destroy(error instanceof Error ? error : undefined);
    }
    if (this.#mustEmitDrain) process.nextTick(() => this.#emitDrain());
  }

  #emitDrain(): void {
    const { writableEnded, writableNeedDrain } = this.response;
    if (!writableEnded && !writableNeedDrain) this.response.emit("drain");
  }

  #sendHead(): void {
    this.#isReleased = true;
    this.#owner.carry(this);
    if (this.#isDiscarded && this.#isBuilt)
      this.#original.writeHead.call(this.response, this.#builtCode, this.#builtMessage);
  }
}

const noHeaders: readonly GivenHeader[] = [];
const noArguments: readonly unknown[] = [];
const names = ["writeHead", "write", "end", "flushHeaders"] as const;

function isChunk(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === "string" || chunk instanceof Uint8Array;
}

/** The length of the body that is given to `end`. */
function lengthOf([chunk, encoding]: readonly unknown[]): number {
  return isChunk(chunk) ? Buffer.byteLength(chunk, isEncoding(encoding) ? encoding : "utf8") : 0;
}

function isEncoding(encoding: unknown): encoding is BufferEncoding {
  return typeof encoding === "string" && Buffer.isEncoding(encoding);
}

/** A header that Node has accepted. */
export type GivenHeader = readonly [name: string, value: unknown];

/** The headers that Node reads from the arguments of a successful `writeHead` if the response has none. */
export function headersAmong([, reason, last]: readonly unknown[]): readonly GivenHeader[] {
  const headers = typeof reason === "string" ? last : (last ?? reason);
  if (!Array.isArray(headers)) return Object.entries(Object(headers));
  const list: readonly unknown[] = headers;
  if (Array.isArray(list[0])) return list.flatMap((pair) => (Array.isArray(pair) ? [given(pair)] : []));
  return list.flatMap((name, at) => (at % 2 === 0 ? [given([name, list[at + 1]])] : []));
}

/** Sets `headers`, in which a name may occur several times. */
export function setAll(
  response: Record<"setHeader" | "appendHeader", (name: string, value: unknown) => unknown>,
  headers: readonly GivenHeader[],
): void {
  const known = new Set<string>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (known.has(key)) response.appendHeader(name, value);
    else response.setHeader(name, value);
    known.add(key);
  }
}

function given([name, value]: readonly unknown[]): GivenHeader {
  return [String(name), value];
}
