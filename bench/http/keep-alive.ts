/** A connection that asks again and again, with as little work as possible: the app is what is measured. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Answer {
  readonly head: string;
  readonly body: string;
}

export class KeepAlive implements Disposable {
  readonly #socket: Socket;
  #text = "";
  #onAnswer: ((answer: Answer) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (part: string) => this.#receive(part));
    // An answer that can no longer come would be waited for without end.
    socket.once("end", () => socket.destroy(new Error("the app has closed a connection of the bench")));
  }

  static async open(port: number): Promise<KeepAlive> {
    const socket = connect(port, "127.0.0.1").setEncoding("latin1").setNoDelay();
    await once(socket, "connect");
    return new KeepAlive(socket);
  }

  /** Resolves with the answer to a GET. `lines` are further headers. */
  async ask(path: string, cookie: string, ...lines: readonly string[]): Promise<Answer> {
    return await new Promise((resolve) => this.send(requestOf("GET", path, cookie, ...lines), resolve));
  }

  /** Sends a request that {@link requestOf} has made. The answer to the previous request must have arrived. */
  send(request: string, onAnswer: (answer: Answer) => void): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(request, "latin1");
  }

  #receive(part: string): void {
    this.#text += part;
    const answer = answerOf(this.#text);
    if (answer === undefined) return;
    const onAnswer = this.#onAnswer;
    if (onAnswer === undefined) throw new Error(`nobody asked for ${this.#text}`);
    this.#text = "";
    this.#onAnswer = undefined;
    onAnswer(answer);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** The text of a request. `lines` are further headers. */
export function requestOf(
  method: "GET" | "POST",
  path: string,
  cookie: string,
  ...lines: readonly string[]
): string {
  const cookies = cookie === "" ? [] : [`Cookie: ${cookie}`];
  const lengths = method === "POST" ? ["Content-Length: 0"] : [];
  const head = [
    `${method} ${path} HTTP/1.1`,
    "Host: localhost",
    "Accept: */*",
    ...cookies,
    ...lines,
    ...lengths,
  ];
  return `${head.join("\r\n")}\r\n\r\n`;
}

/** The answer, once all of it has come. */
function answerOf(text: string): Answer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const body = text.slice(end + 4);
  const [, length] = /^Content-Length: (\d+)$/im.exec(head) ?? [];
  if (length !== undefined) return body.length >= Number(length) ? { head, body } : undefined;
  if (!/^Transfer-Encoding: chunked$/im.test(head)) throw new Error(`an answer without a length: ${text}`);
  return body.endsWith("0\r\n\r\n") ? { head, body: withoutChunks(body) } : undefined;
}

function withoutChunks(body: string): string {
  return body.replaceAll(/(?:^|\r\n)([\da-f]+)\r\n/gi, "").replace(/\r\n$/, "");
}
