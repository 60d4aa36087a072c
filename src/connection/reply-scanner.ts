/** Finds the end of each reply of a server without decoding it, and notices bytes that violate Redis's protocol. */

/** The longest string that a server sends, in bytes, unless `proto-max-bulk-len` was raised. */
const maxStringBytes = 512 * 1024 * 1024;
/** The longest line: a simple string, an error or a number. ioredis copies an unfinished line with each chunk that arrives. */
const maxLineBytes = 1024 * 1024;
/**
 * The most elements of a reply, including nested ones. ioredis allocates elements when they are announced, not when they arrive.
 */
const maxElements = 2 ** 24;
/** The deepest nesting of a reply. There is a limit because ioredis decodes nested replies recursively. */
const maxDepth = 512;
/** How many bytes of a text are kept. */
const maxKeptBytes = 200;
/** How many elements of a reply have their kinds kept. */
const maxKept = 4;

const carriageReturn = 13;
const lineFeed = 10;
const zero = 48;
const one = 49;
const nine = 57;
const minus = 45;
const plus = 43;
const colon = 58;
const dollar = 36;
const shortLineBytes = 64;
const shortSizeDigits = 8;

/** The part of a reply that is expected next. */
type Phase = "type" | "size" | "after-size" | "line" | "string" | "after-string" | "after-line";

/** The form of one type of reply. */
interface Type {
  readonly sign: string;
  /** Whether the first line is the whole reply, or a length. */
  readonly shape: "line" | "string" | "array";
  /** See {@link ReplyScanner.head}. */
  readonly kind: "t" | "n" | "i" | "x";
  readonly isResp3: boolean;
  /** The valid lines. ioredis skips as many bytes as a valid line has, without a check. */
  readonly form: RegExp | undefined;
}

function typesOf(shape: Type["shape"], kind: Type["kind"], signs: string, form?: RegExp): readonly Type[] {
  return [...signs].map((sign) => ({ sign, shape, kind, isResp3: !"$*+-:".includes(sign), form }));
}

const types: readonly Type[] = [
  ...typesOf("line", "t", "+"),
  ...typesOf("line", "i", ":"),
  ...typesOf("line", "x", "-("),
  ...typesOf("line", "n", "_", /^$/),
  ...typesOf("line", "x", "#", /^[tf]$/),
  ...typesOf("line", "x", ",", /^(-?nan|[+-]?inf|[+-]?[\d.][\d.eE+-]*)$/),
  ...typesOf("string", "t", "$="),
  ...typesOf("string", "x", "!"),
  ...typesOf("array", "x", "*~%>"),
];

const typeOf: readonly (Type | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  types.find(({ sign }) => sign.charCodeAt(0) === byte),
);

/** Reads replies chunk by chunk. A reply may be split over several chunks. */
export class ReplyScanner {
  /** Whether the next byte begins a reply. */
  isBetween = true;
  /** The fault in the bytes, as the end of a sentence about the server. After a fault nothing more can be read. */
  fault: string | undefined;
  /** The type of the latest reply. */
  type = "";
  /** Whether the latest reply is null. */
  isNull = false;
  /** The first elements of a kept reply: `t` a text, `n` null, `i` an integer, `x` anything else. */
  head = "";
  /** The text of a kept reply, or of its first element. It is cut to the first bytes. */
  text = "";
  readonly #knowsResp3: boolean;
  readonly #maxLineBytes: number;
  #keeps = false;
  #keepsText = false;
  #phase: Phase = "type";
  /** The type of the element that is being read. */
  #type: Type | undefined;
  #size = 0;
  #isNegative = false;
  /** Digits or bytes of the line so far. */
  #length = 0;
  /** A line that must have a certain form. */
  #line = "";
  /** Bytes of a string that are still to come. */
  #left = 0;
  /** How many elements the innermost array still lacks. Outside of arrays this is 1, for the reply itself. */
  #lacks = 1;
  /** How many elements each array around the innermost one still lacks. */
  readonly #outer: number[] = [];
  /** How many elements each open array has, and how many all of them have together. */
  readonly #sizes: number[] = [];
  #elements = 0;

  /** `knowsResp3` says whether ioredis decodes RESP3. `isMonitor` says whether lines may be long. */
  constructor(knowsResp3: boolean, isMonitor: boolean) {
    this.#knowsResp3 = knowsResp3;
    this.#maxLineBytes = isMonitor ? maxStringBytes : maxLineBytes;
  }

  /** Reads `chunk` from `from` to the end of a reply or of the chunk, and returns where it stopped. */
  read(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      switch (this.#phase) {
        case "type": {
          const to = this.#keeps ? at : this.#skip(chunk, at);
          if (to === at) this.#begin(chunk[at++] ?? 0);
          else if (this.isBetween) return to;
          else at = to;
          break;
        }
        case "size":
          at = this.#readSize(chunk, at);
          break;
        case "line":
          at = this.#readLine(chunk, at);
          break;
        case "string":
          at = this.#readString(chunk, at);
          break;
        case "after-string":
          if (chunk[at++] === carriageReturn) this.#phase = "after-line";
          else this.fault = "sent a string that is longer than its declared length";
          break;
        default:
          this.#feed(chunk[at++] ?? 0);
          if (this.isBetween) return at;
      }
      if (this.fault !== undefined) return at;
    }
    return at;
  }

  /** Keeps the kinds and the text of the next reply. */
  keep(): void {
    this.#keeps = true;
  }

  #begin(byte: number): void {
    const type = typeOf[byte];
    if (type === undefined || (type.isResp3 && !this.#knowsResp3)) {
      this.fault = `sent the byte 0x${byte.toString(16).padStart(2, "0")} where a reply must begin`;
      return;
    }
    if (this.isBetween) {
      this.isBetween = false;
      this.type = type.sign;
      this.isNull = type.kind === "n";
      this.head = "";
      this.text = "";
    } else if (type.sign === ">") {
      this.fault = "sent a push inside a reply";
      return;
    }
    this.#type = type;
    this.#length = 0;
    if (type.shape === "line") {
      this.#phase = "line";
      this.#line = "";
      if (this.#keeps) this.#note(type.kind);
      return;
    }
    this.#phase = "size";
    this.#size = 0;
    this.#isNegative = false;
  }

  #readSize(chunk: Buffer, from: number): number {
    let at = from;
    let size = this.#size;
    while (at < chunk.length) {
      const byte = chunk[at++] ?? 0;
      if (byte >= zero && byte <= nine) {
        size = size * 10 + byte - zero;
        this.#length += 1;
      } else if (byte === carriageReturn && this.#length > 0) {
        this.#phase = "after-size";
        break;
      } else if (byte === minus && this.#length === 0 && !this.#isNegative) this.#isNegative = true;
      else {
        this.fault = "sent a length that is not a number";
        break;
      }
      if (this.#length > 16) {
        this.fault = "sent a length of more than 16 digits";
        break;
      }
    }
    this.#size = size;
    return at;
  }

  #readLine(chunk: Buffer, from: number): number {
    let to = from;
    while (to < chunk.length && chunk[to] !== carriageReturn) to += 1;
    this.#length += to - from;
    if (this.#length > this.#maxLineBytes)
      this.fault = `sent a line of more than ${this.#maxLineBytes} bytes`;
    if (this.#keepsText) this.#keepText(chunk, from, to);
    const form = this.#type?.form;
    if (form !== undefined && this.#length <= maxKeptBytes) this.#line += chunk.toString("latin1", from, to);
    if (to === chunk.length) return to;
    if (form?.test(this.#line) === false) this.fault = `sent a malformed reply of type "${this.#type?.sign}"`;
    this.#phase = "after-line";
    return to + 1;
  }

  #readString(chunk: Buffer, from: number): number {
    const to = Math.min(from + this.#left, chunk.length);
    if (this.#keepsText) this.#keepText(chunk, from, to);
    this.#left -= to - from;
    if (this.#left === 0) this.#phase = "after-string";
    return to;
  }

  #feed(byte: number): void {
    if (byte !== lineFeed) this.fault = "sent a line that does not end with CR LF";
    else if (this.#phase === "after-size") this.#open();
    else this.#end();
  }

  /** Begins a string or an array, whose length has been read. */
  #open(): void {
    const { sign = "", shape, kind = "x" } = this.#type ?? {};
    const isNull = this.#isNegative;
    if (isNull && (this.#size !== 1 || (sign !== "$" && sign !== "*"))) {
      this.fault = "sent a negative length";
      return;
    }
    if (isNull && this.#outer.length === 0) this.isNull = true;
    if (this.#keeps) this.#note(isNull ? "n" : kind);
    if (isNull) this.#end();
    else if (shape === "string") this.#openString(this.#size, sign);
    else this.#openArray(sign === "%" ? this.#size * 2 : this.#size);
  }

  #openString(bytes: number, sign: string): void {
    if (bytes > maxStringBytes)
      this.fault = `sent a string of ${bytes} bytes, more than the ${maxStringBytes} that are allowed`;
    // The first four bytes of a verbatim string name its format.
    else if (sign === "=" && bytes < 4) this.fault = "sent a verbatim string without a format";
    this.#left = bytes;
    this.#phase = bytes === 0 ? "after-string" : "string";
  }

  #openArray(size: number): void {
    if (size === 0) {
      this.#end();
      return;
    }
    this.#elements += size;
    this.#outer.push(this.#lacks);
    this.#sizes.push(size);
    this.#lacks = size;
    if (this.#elements > maxElements) this.fault = `sent a reply of more than ${maxElements} elements`;
    if (this.#outer.length > maxDepth)
      this.fault = `sent a reply that is nested more than ${maxDepth} levels deep`;
    this.#phase = "type";
  }

  /** Ends an element, and each array whose last element it was. */
  #end(): void {
    this.#phase = "type";
    this.#keepsText = false;
    this.#lacks -= 1;
    this.#close();
  }

  /** Leaves the arrays that are complete. */
  #close(): void {
    while (this.#lacks === 0) {
      const outer = this.#outer.pop();
      this.isBetween = outer === undefined;
      this.#lacks = outer === undefined ? 1 : outer - 1;
      this.#elements -= this.#sizes.pop() ?? 0;
    }
    if (this.isBetween) this.#keeps = false;
  }

  /**
   * Skips the complete strings and short lines that are next, up to the end of the reply, and returns where it stopped. This
   * exists only for speed.
   */
  #skip(chunk: Buffer, from: number): number {
    let [at, lacks] = [from, this.#lacks];
    while (lacks > 0) {
      const to = endOfSimple(chunk, at);
      if (to === at) break;
      at = to;
      lacks -= 1;
    }
    if (at === from) return at;
    this.#lacks = lacks;
    this.isBetween = false;
    this.#close();
    return at;
  }

  /** Records the kind of the element that begins, if the kind is to be kept. */
  #note(kind: string): void {
    const depth = this.#outer.length;
    if (depth === 1 && this.head.length < maxKept) this.head += kind;
    this.#keepsText = depth === 0 || (depth === 1 && this.head.length === 1);
  }

  #keepText(chunk: Buffer, from: number, to: number): void {
    const room = maxKeptBytes - this.text.length;
    this.text += chunk.toString("latin1", from, Math.min(to, from + room));
  }
}

/** The end of the string that begins at `from`, whatever type its first byte names. It is `from` for null and for an incomplete one. */
export function endOfString(chunk: Buffer, from: number): number {
  if (chunk[from] === plus) return endOfSimple(chunk, from);
  return chunk[from + 1] === minus ? from : endOfBulk(chunk, from);
}

/** The end of the string or short line that begins at `from`. It is `from` for anything else and for an incomplete element. */
function endOfSimple(chunk: Buffer, from: number): number {
  const type = chunk[from];
  let at = from + 1;
  if (type === plus || type === colon) {
    const limit = Math.min(chunk.length - 1, at + shortLineBytes);
    while (at < limit && chunk[at] !== carriageReturn) at += 1;
  } else if (type === dollar && chunk[at] === minus) {
    if (chunk[at + 1] !== one) return from;
    at += 2;
  } else return type === dollar ? endOfBulk(chunk, from) : from;
  return isLineEnd(chunk, at) ? at + 2 : from;
}

/** The end of the string that begins at `from` with its type and its length. It is `from` for an incomplete one. */
function endOfBulk(chunk: Buffer, from: number): number {
  let at = from + 1;
  const limit = Math.min(chunk.length - 1, at + shortSizeDigits);
  let size = 0;
  for (; at < limit; at += 1) {
    const digit = (chunk[at] ?? 0) - zero;
    if (digit < 0 || digit > 9) break;
    size = size * 10 + digit;
  }
  if (at === from + 1 || !isLineEnd(chunk, at)) return from;
  at += 2 + size;
  return isLineEnd(chunk, at) ? at + 2 : from;
}

function isLineEnd(chunk: Buffer, at: number): boolean {
  return at + 1 < chunk.length && chunk[at] === carriageReturn && chunk[at + 1] === lineFeed;
}
