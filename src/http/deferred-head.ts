/** Keeps the head of a response back until the token in it can cover every write that its request has started. */
import type { CarrierResponse } from "./carriers/carrier.js";

/** What is needed of Node's `ServerResponse`. Names with an underscore are Node's own, as other middleware uses them. */
export interface HeadedResponse extends CarrierResponse {
  statusCode: number;
  statusMessage: string;
  readonly headersSent: boolean;
  /** The request that it answers, as Node tells. */
  readonly req?: unknown;
  readonly writableEnded?: boolean;
  readonly writableNeedDrain: boolean;
  /** The head as it will be sent, once it has been built. */
  _header?: string | null;
  readonly _headerSent?: boolean;
  /** What an implicit head says about the length of the body. */
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

/** The methods by which a head leaves. */
export type HeadMethods = Pick<HeadedResponse, "writeHead" | "write" | "end" | "flushHeaders">;

interface Call {
  readonly name: keyof HeadMethods;
  readonly args: readonly unknown[];
}

/** Knows what a head has to wait for and what goes into it. */
export interface HeadOwner {
  /** Undefined when there is nothing to wait for; else resolves when all writes started so far are settled. */
  settled(): Promise<void> | undefined;
  /** Called when a head is built before that: others may look then at what is to be kept. */
  announced(): void;
  /**
   * Sets the headers that bring the token. Called just before the head is sent, and once more if Node refuses that head.
   * Must not throw.
   */
  carry(response: CarrierResponse): void;
  /** Called when the first bytes have left, and whatever was mounted before has had its say. */
  left(): void;
}

/** Takes over `writeHead`, `write`, `end` and `flushHeaders` of a response, of which a {@link DeferredHead} makes use. */
export function deferHead(response: HeadedResponse, keeper: HeadOwner): void {
  const { writeHead, write, end, flushHeaders } = response;
  const head = new DeferredHead(response, keeper, { writeHead, write, end, flushHeaders });
  Object.assign(response, head.methods());
}

/**
 * What the four methods of a response do instead. With nothing to wait for they do what they did, at once. Else `write`,
 * `end` and `flushHeaders` are kept, in order, until there is nothing any more: the head waits for all writes started
 * before the first of them, and before `end` if that comes meanwhile.
 * Node builds the head when it always does, so that errors, `headersSent` and listeners keep their time; a head that
 * has not left is built again when the token has to go into it.
 */
export class DeferredHead implements CarrierResponse {
  protected readonly response: HeadedResponse;
  readonly #keeper: HeadOwner;
  readonly #before: HeadMethods;
  #writeHead: HeadMethods["writeHead"] | undefined;
  #built: { code: number; message: string } | undefined;
  /** The headers that Node built a head from without keeping them. */
  #given: readonly GivenHeader[] = noHeaders;
  /** What the headers that were set last, before the head was built, were before. */
  #replaced: GivenHeader[] | undefined;
  /** Whether what was built was thrown away, because the token has to go into it. */
  #isUndone = false;
  #kept: Call[] | undefined;
  #awaited: Promise<void> | undefined;
  #owesDrain = false;
  #left = false;
  #told = false;

  constructor(response: HeadedResponse, keeper: HeadOwner, before: HeadMethods) {
    this.response = response;
    this.#keeper = keeper;
    this.#before = before;
  }

  /** What the response is to call. */
  methods(): HeadMethods {
    this.#writeHead = (...args) => this.writeHead(args);
    return {
      writeHead: this.#writeHead,
      write: (...args) => this.write(args),
      end: (...args) => this.end(args),
      flushHeaders: () => this.flushHeaders(),
    };
  }

  /** Whether somebody else has taken over `writeHead` since. */
  protected get isWrapped(): boolean {
    return this.response.writeHead !== this.#writeHead;
  }

  getHeader(name: string): number | string | readonly string[] | undefined {
    if (this.#given.length > 0) this.#undo();
    return this.response.getHeader(name);
  }

  setHeader(name: string, value: string | readonly string[]): void {
    const { response } = this;
    if (response.headersSent) this.#undo();
    else if (!this.#isUndone) this.#remember(name);
    response.setHeader(name, value);
  }

  #remember(name: string): void {
    this.#replaced ??= [];
    this.#replaced.push([name, this.response.getHeader(name)]);
  }

  /** Throws away a head that was built but not sent, and keeps the headers that Node would forget with it. */
  #undo(): void {
    const { response } = this;
    if (!response.headersSent || response._headerSent) return;
    response._header = null;
    this.#isUndone = true;
    setAll(response, this.#given);
    this.#given = noHeaders;
  }

  writeHead(args: unknown[]): unknown {
    const { response } = this;
    if (this.#left) {
      this.#before.writeHead.apply(response, args);
      return response;
    }
    this.#keeper.announced();
    this.#before.writeHead.apply(response, args);
    this.#built = { code: response.statusCode, message: response.statusMessage };
    if (args.length > 1 && response.getHeaderNames().length === 0) this.#given = this.#inHead(args);
    return response;
  }

  /** Those of the headers given to `writeHead` that no listener has taken out again. */
  #inHead(args: readonly unknown[]): readonly GivenHeader[] {
    const head = this.response._header ?? "";
    return headersAmong(args).filter(([name]) => head.includes(`\r\n${name}: `));
  }

  write(args: unknown[]): boolean {
    if (!isChunk(args[0]) || this.#mayLeave()) return this.#pass("write", args);
    this.#kept?.push({ name: "write", args });
    this.#owesDrain = true;
    return false;
  }

  end(args: unknown[]): unknown {
    const { response } = this;
    const [chunk] = args;
    if (chunk && !isChunk(chunk) && typeof chunk !== "function")
      return this.#before.end.apply(response, args);
    if (this.#mayLeave(args)) return this.#pass("end", args);
    this.#kept?.push({ name: "end", args });
    if (!response.writableEnded) {
      this.#awaited = this.#keeper.settled() ?? this.#awaited;
      Object.defineProperty(response, "writableEnded", { value: true, configurable: true });
    }
    return response;
  }

  flushHeaders(): void {
    if (this.#mayLeave()) this.#pass("flushHeaders", []);
    else this.#kept?.push({ name: "flushHeaders", args: [] });
  }

  #pass<Name extends Call["name"]>(name: Name, args: unknown[]): ReturnType<HeadMethods[Name]> {
    try {
      const result = Reflect.apply(this.#before[name], this.response, args);
      this.#tell();
      return result;
    } catch (error) {
      this.#stay();
      throw error;
    }
  }

  /** Takes the token back out of a head that Node has refused: what answers instead may write, too. */
  #stay(): void {
    const { response } = this;
    if (response.headersSent || this.#told) return;
    this.#left = false;
    for (const [name, value] of this.#replaced?.reverse() ?? []) {
      if (value === undefined) response.removeHeader(name);
      else response.setHeader(name, value);
    }
    this.#replaced = undefined;
  }

  #tell(): void {
    if (!this.#left || this.#told) return;
    this.#told = true;
    this.#keeper.left();
  }

  /** Whether bytes may leave now; `ending` is what the first call was given, where it brings the whole body. */
  #mayLeave(ending?: readonly unknown[]): boolean {
    if (this.#left) return true;
    if (this.#kept !== undefined) return false;
    // Whoever wrapped writeHead after us acts before the head leaves, and may start a write even then.
    if (this.isWrapped) this.#build(ending);
    const pending = this.#keeper.settled();
    if (pending === undefined) {
      this.#leave();
      return true;
    }
    this.#build(ending);
    this.#kept = [];
    this.response.once("close", () => this.#release());
    this.#wait(pending);
    return false;
  }

  #build(ending: readonly unknown[] | undefined): void {
    const { response } = this;
    if (response.headersSent) return;
    if (ending !== undefined) response._contentLength = lengthOf(ending);
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

  #release(): void {
    const kept = this.#kept;
    const { response } = this;
    if (kept === undefined) return;
    this.#kept = undefined;
    try {
      this.#leave();
      for (const { name, args } of kept) Reflect.apply(this.#before[name], response, args);
      this.#tell();
    } catch (error) {
      response.destroy(error instanceof Error ? error : undefined);
    }
    if (this.#owesDrain) process.nextTick(() => this.#drain());
  }

  #drain(): void {
    const { writableEnded, writableNeedDrain } = this.response;
    if (!writableEnded && !writableNeedDrain) this.response.emit("drain");
  }

  #leave(): void {
    this.#left = true;
    this.#keeper.carry(this);
    if (!this.#isUndone || this.#built === undefined) return;
    const { code, message } = this.#built;
    this.#before.writeHead.call(this.response, code, message);
  }
}

const noHeaders: readonly GivenHeader[] = [];

function isChunk(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === "string" || chunk instanceof Uint8Array;
}

/** Of the body that is given to `end`. */
function lengthOf([chunk, encoding]: readonly unknown[]): number {
  return isChunk(chunk) ? Buffer.byteLength(chunk, isEncoding(encoding) ? encoding : "utf8") : 0;
}

function isEncoding(encoding: unknown): encoding is BufferEncoding {
  return typeof encoding === "string" && Buffer.isEncoding(encoding);
}

/** A header that Node has accepted. */
export type GivenHeader = readonly [name: string, value: unknown];

/** What Node reads from the arguments of a successful `writeHead` when the response has no headers of its own. */
export function headersAmong([, reason, last]: readonly unknown[]): readonly GivenHeader[] {
  const headers = typeof reason === "string" ? last : (last ?? reason);
  if (!Array.isArray(headers)) return Object.entries(Object(headers));
  const list: readonly unknown[] = headers;
  if (Array.isArray(list[0])) return list.flatMap((pair) => (Array.isArray(pair) ? [given(pair)] : []));
  return list.flatMap((name, at) => (at % 2 === 0 ? [given([name, list[at + 1]])] : []));
}

/** Sets `headers`, which may name one several times. */
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
