/** Keeps the head of a response back until the token in it can cover every write that its request has started. */
import type { CarrierResponse } from "./carrier.js";

/** What is needed of Node's `ServerResponse`. Names with an underscore are Node's own, as other middleware uses them. */
export interface HeadedResponse extends CarrierResponse {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  readonly writableEnded?: boolean;
  readonly writableNeedDrain: boolean;
  /** The head as it will be sent, once it has been built. */
  _header?: string | null;
  readonly _headerSent?: boolean;
  /** What an implicit head says about the length of the body. */
  _contentLength?: number | null;
  setHeader(name: string, value: unknown): unknown;
  appendHeader(name: string, value: unknown): unknown;
  writeHead(...args: unknown[]): unknown;
  write(...args: unknown[]): boolean;
  end(...args: unknown[]): unknown;
  flushHeaders(): void;
  destroy(error?: Error): unknown;
  once(event: "close", listener: () => void): unknown;
  removeListener(event: "close", listener: () => void): unknown;
  emit(event: "drain"): unknown;
}

/** The methods by which a head leaves. */
export type HeadMethods = Pick<HeadedResponse, "writeHead" | "write" | "end" | "flushHeaders">;

/** Knows what a head has to wait for and what goes into it. */
export interface HeadKeeper {
  /** Undefined when there is nothing to wait for; else resolves when all writes started so far are settled. */
  settled(): Promise<void> | undefined;
  /** Called when a head is built before that: others may look then at what is to be kept. */
  announced(): void;
  /** Sets the headers that bring the token; called once, just before the head leaves. Must not throw. */
  carry(response: CarrierResponse): void;
  /** Called when the first bytes have left, and whatever was mounted before has had its say. */
  left(): void;
}

/** Takes over `writeHead`, `write`, `end` and `flushHeaders` of a response, of which a {@link HeldHead} makes use. */
export function holdHead(response: HeadedResponse, keeper: HeadKeeper): void {
  const { writeHead, write, end, flushHeaders } = response;
  const ours = (...args: unknown[]): unknown => head.writeHead(args);
  const before = { writeHead, write, end, flushHeaders };
  const head = new HeldHead(response, keeper, before, ({ writeHead }) => writeHead !== ours);
  response.writeHead = ours;
  response.write = (...args) => head.write(args);
  response.end = (...args) => head.end(args);
  response.flushHeaders = () => head.flushHeaders();
}

/**
 * What the four methods of a response do instead. With nothing to wait for they do what they did, at once. Else `write`,
 * `end` and `flushHeaders` are kept, in order, until there is nothing any more: the head waits for all writes started
 * before the first of them, and before `end` if that comes meanwhile.
 * Node builds the head when it always does, so that errors, `headersSent` and listeners keep their time; a head that
 * has not left is built again when the token has to go into it.
 */
export class HeldHead implements CarrierResponse {
  readonly #response: HeadedResponse;
  readonly #keeper: HeadKeeper;
  readonly #before: HeadMethods;
  readonly #isWrapped: (response: HeadedResponse) => boolean;
  #built: { code: number; message: string } | undefined;
  #kept: (() => unknown)[] | undefined;
  #awaited: Promise<void> | undefined;
  #owesDrain = false;
  #left = false;
  #told = false;

  /** `isWrapped` tells whether somebody else has taken over `writeHead` since. */
  constructor(
    response: HeadedResponse,
    keeper: HeadKeeper,
    before: HeadMethods,
    isWrapped: (response: HeadedResponse) => boolean,
  ) {
    this.#response = response;
    this.#keeper = keeper;
    this.#before = before;
    this.#isWrapped = isWrapped;
  }

  getHeader(name: string): number | string | readonly string[] | undefined {
    return this.#response.getHeader(name);
  }

  setHeader(name: string, value: string | readonly string[]): void {
    const response = this.#response;
    if (response.headersSent && !response._headerSent) response._header = null;
    response.setHeader(name, value);
  }

  writeHead(args: readonly unknown[]): unknown {
    const response = this.#response;
    if (this.#left) {
      this.#before.writeHead.apply(response, [...args]);
      return response;
    }
    this.#keeper.announced();
    this.#before.writeHead.apply(response, remembered(response, args));
    this.#built = { code: response.statusCode, message: response.statusMessage };
    return response;
  }

  write(args: unknown[]): boolean {
    const write = () => this.#before.write.apply(this.#response, args);
    if (!isChunk(args[0]) || this.#mayLeave()) return this.#pass(write);
    this.#kept?.push(write);
    this.#owesDrain = true;
    return false;
  }

  end(args: unknown[]): unknown {
    const end = () => this.#before.end.apply(this.#response, args);
    const [chunk, encoding] = args;
    const isBody = isChunk(chunk);
    if (!isBody && chunk && typeof chunk !== "function") return end();
    if (this.#mayLeave(isBody ? Buffer.byteLength(chunk, isEncoding(encoding) ? encoding : "utf8") : 0))
      return this.#pass(end);
    this.#kept?.push(end);
    if (!this.#response.writableEnded) {
      this.#awaited = this.#keeper.settled() ?? this.#awaited;
      Object.defineProperty(this.#response, "writableEnded", { value: true, configurable: true });
    }
    return this.#response;
  }

  flushHeaders(): void {
    const flushHeaders = () => this.#before.flushHeaders.call(this.#response);
    if (this.#mayLeave()) this.#pass(flushHeaders);
    else this.#kept?.push(flushHeaders);
  }

  #pass<T>(call: () => T): T {
    const result = call();
    this.#tell();
    return result;
  }

  #tell(): void {
    if (!this.#left || this.#told) return;
    this.#told = true;
    this.#keeper.left();
  }

  /** Whether bytes may leave now; `length` is that of the whole body, where the first call brings all of it. */
  #mayLeave(length?: number): boolean {
    if (this.#left) return true;
    if (this.#kept !== undefined) return false;
    // Whoever wrapped writeHead after us acts before the head leaves, and may start a write even then.
    if (this.#isWrapped(this.#response)) this.#build(length);
    const pending = this.#keeper.settled();
    if (pending === undefined) {
      this.#leave();
      return true;
    }
    this.#build(length);
    this.#kept = [];
    this.#response.once("close", this.#release);
    this.#wait(pending);
    return false;
  }

  #build(length: number | undefined): void {
    const response = this.#response;
    if (response.headersSent) return;
    if (length !== undefined) response._contentLength = length;
    response.writeHead(response.statusCode);
  }

  #wait(pending: Promise<void>): void {
    this.#awaited = pending;
    const arrive = () => {
      if (this.#awaited === undefined || this.#awaited === pending) this.#release();
      else this.#wait(this.#awaited);
    };
    pending.then(arrive, arrive);
  }

  readonly #release = (): void => {
    const kept = this.#kept;
    if (kept === undefined) return;
    const response = this.#response;
    this.#kept = undefined;
    response.removeListener("close", this.#release);
    try {
      this.#leave();
      for (const call of kept) call();
      this.#tell();
    } catch (error) {
      response.destroy(error instanceof Error ? error : undefined);
    }
    if (this.#owesDrain) process.nextTick(() => this.#drain());
  };

  #drain(): void {
    const { writableEnded, writableNeedDrain } = this.#response;
    if (!writableEnded && !writableNeedDrain) this.#response.emit("drain");
  }

  #leave(): void {
    this.#left = true;
    const { headersSent } = this.#response;
    this.#keeper.carry(this);
    if (!headersSent || this.#response.headersSent || this.#built === undefined) return;
    const { code, message } = this.#built;
    this.#before.writeHead.call(this.#response, code, message);
  }
}

function isChunk(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === "string" || chunk instanceof Uint8Array;
}

function isEncoding(encoding: unknown): encoding is BufferEncoding {
  return typeof encoding === "string" && Buffer.isEncoding(encoding);
}

/** Node remembers no headers that are given to writeHead, and a head built again would lack them. */
function remembered(response: HeadedResponse, args: readonly unknown[]): unknown[] {
  const [code, reason, last] = args;
  const hasMessage = typeof reason === "string";
  const headers = hasMessage ? last : (last ?? reason);
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers : pairsOf(headers);
    if (pairs === undefined) return [...args];
    const known = new Set<string>();
    for (const [name, value] of pairs) {
      const key = String(name).toLowerCase();
      if (known.has(key)) response.appendHeader(name, value);
      else response.setHeader(name, value);
      known.add(key);
    }
  } else if (typeof headers === "object" && headers !== null) {
    for (const [name, value] of Object.entries(headers)) if (name) response.setHeader(name, value);
  }
  return hasMessage ? [code, reason] : [code];
}

function pairsOf(flat: readonly unknown[]): readonly (readonly unknown[])[] | undefined {
  if (flat.length % 2 !== 0) return undefined;
  return flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]]] : []));
}
