/** Does what a page does: sends requests over HTTP and messages over its websocket, and carries tokens between them. */
import { once } from "node:events";
import { WebSocket } from "ws";

const tokenHeader = "Consistency-Token";

export interface Answer {
  readonly notes: readonly string[];
  readonly token: string;
}

export class Page implements AsyncDisposable {
  readonly #origin: string;
  #socket: WebSocket | undefined;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Opens the websocket with the cookies that a browser would send along. */
  async connect(cookies = ""): Promise<void> {
    this.#socket = new WebSocket(this.#origin.replace("http", "ws"), { headers: { cookie: cookies } });
    await once(this.#socket, "open");
  }

  /** Adds a note over HTTP. Resolves with the token, and with the cookies that a browser would keep. */
  async post(note: string): Promise<{ readonly token: string; readonly cookies: string }> {
    const { headers } = await fetch(`${this.#origin}/notes/${note}`, { method: "POST" });
    const cookies = headers.getSetCookie().map((line) => line.split(";", 1)[0]);
    return { token: headers.get(tokenHeader) ?? "", cookies: cookies.join("; ") };
  }

  /** The notes over HTTP. */
  async get(token?: string): Promise<unknown> {
    const headers = token === undefined ? undefined : { [tokenHeader]: token };
    return (await fetch(`${this.#origin}/notes`, { headers })).json();
  }

  /** The answer to a message over the websocket. */
  async send(message: { readonly add?: string; readonly token?: string }): Promise<Answer> {
    if (this.#socket === undefined) throw new Error("connect() first");
    const answered = once(this.#socket, "message");
    this.#socket.send(JSON.stringify(message));
    const [data] = await answered;
    return JSON.parse(String(data));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket === undefined || this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}
