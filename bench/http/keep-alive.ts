/** A connection that asks for the same again and again, with as little work as possible: the app is what is measured. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export class KeepAlive implements Disposable {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<KeepAlive> {
    const socket = connect(port, "127.0.0.1").setEncoding("latin1").setNoDelay();
    await once(socket, "connect");
    // An answer that can no longer come would be waited for without end.
    socket.once("end", () => socket.destroy(new Error("the app has closed a connection of the bench")));
    return new KeepAlive(socket);
  }

  /** Resolves with the head and the body of the answer, which must have a Content-Length. `lines` are further headers. */
  async ask(
    path: string,
    cookie: string,
    ...lines: readonly string[]
  ): Promise<{ readonly head: string; readonly body: string }> {
    const cookies = cookie === "" ? [] : [`Cookie: ${cookie}`];
    const head = [`GET ${path} HTTP/1.1`, "Host: localhost", "Accept: */*", ...cookies, ...lines];
    this.#socket.write(`${head.join("\r\n")}\r\n\r\n`);
    for (let text = ""; ; ) {
      const [part]: string[] = await once(this.#socket, "data");
      text += part;
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) continue;
      const head = text.slice(0, end);
      const [, length] = /^Content-Length: (\d+)$/im.exec(head) ?? [];
      if (length === undefined) throw new Error(`an answer without a length: ${text}`);
      const body = text.slice(end + 4);
      if (body.length >= Number(length)) return { head, body };
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
