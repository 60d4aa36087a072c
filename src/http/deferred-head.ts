/**
 * Defers the head of a response, which is its status and headers, until the token can cover every write that the request has
 * started.
 */
import type { CarrierResponse } from "./carriers/carrier.js";

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

interface Call {
  readonly name: keyof HeadMethods;
  readonly args: readonly unknown[];
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
  /** Called when the first bytes were sent, after the hooks of all middleware that was mounted earlier. */
  headSent(): void;
}

/** Replaces `writeHead`, `write`, `end` and `flushHeaders` of a response by those of a {@link DeferredHead}. */
export function deferHead(response: HeadedResponse, owner: HeadOwner): void {
  const { writeHead, write, end, flushHeaders } = response;
  const head = new DeferredHead(response, owner, { writeHead, write, end, flushHeaders });
  Object.assign(response, head.methods());
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
  #built: { code: number; message: string } | undefined;
  /** The headers that Node built the head from and did not store on the response. */
  #givenHeaders: readonly GivenHeader[] = noHeaders;
  /** The previous values of the headers that bring the token, for a head that Node refuses. */
  #replaced: GivenHeader[] | undefined;
  /** Whether the built head was discarded, because the token has to go into it. */
  #isDiscarded = false;
  #deferred: Call[] | undefined;
  #pending: Promise<void> | undefined;
  #mustEmitDrain = false;
  #isReleased = false;
  #isSentReported = false;

  constructor(response: HeadedResponse, owner: HeadOwner, original: HeadMethods) {
    this.response = response;
    this.#owner = owner;
    this.#original = original;
  }

  /** The methods to put on the response. */
  methods(): HeadMethods {
    this.#writeHead = (...args) => this.writeHead(args);
    return {
      writeHead: this.#writeHead,
      write: (...args) => this.write(args),
      end: (...args) => this.end(args),
      flushHeaders: () => this.flushHeaders(),
    };
  }

  /** Whether other middleware has replaced `writeHead` after {@link methods} was called. */
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
    this.#replaced ??= [];
    this.#replaced.push([name, this.response.getHeader(name)]);
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
    this.#built = { code: response.statusCode, message: response.statusMessage };
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
    this.#deferred?.push({ name: "write", args });
    this.#mustEmitDrain = true;
    return false;
  }

  end(args: unknown[]): unknown {
    const { response } = this;
    const [chunk] = args;
    if (chunk && !isChunk(chunk) && typeof chunk !== "function")
      return this.#original.end.apply(response, args);
    if (this.#maySend(args)) return this.#callOriginal("end", args);
    this.#deferred?.push({ name: "end", args });
    if (!response.writableEnded) {
      this.#pending = this.#owner.settled() ?? this.#pending;
      Object.defineProperty(response, "writableEnded", { value: true, configurable: true });
    }
    return response;
  }

  flushHeaders(): void {
    if (this.#maySend()) this.#callOriginal("flushHeaders", []);
    else this.#deferred?.push({ name: "flushHeaders", args: [] });
  }

  #callOriginal<Name extends Call["name"]>(name: Name, args: unknown[]): ReturnType<HeadMethods[Name]> {
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
    for (const [name, value] of this.#replaced?.reverse() ?? []) {
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
    this.#deferred = [];
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
    try {
      this.#sendHead();
      for (const { name, args } of deferred) Reflect.apply(this.#original[name], response, args);
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
    if (!this.#isDiscarded || this.#built === undefined) return;
    const { code, message } = this.#built;
    this.#original.writeHead.call(this.response, code, message);
  }
}

const noHeaders: readonly GivenHeader[] = [];

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
