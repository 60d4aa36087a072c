/** A client that keeps the tokens it is brought: cookies as a browser does, those in headers as an app does. */
import type { Answered, Asked, Door } from "./door.js";

const header = "consistency-token";
let holders = 0;

export class TokenHolder {
  /** Without it the new users of one address would count as one browser, whose tokens are rounded. */
  readonly #userAgent = `holder-${holders++}`;
  readonly #door: Door;
  readonly #cookies = new Map<string, string>();
  readonly #tokens = new Set<string>();

  constructor(door: Door) {
    this.#door = door;
  }

  /** Asks with all it has by now; what the answer brings is not kept before `keep` is called. */
  async send(asked: Asked): Promise<{ readonly answered: Answered; keep(): void }> {
    const sent = [...this.#tokens];
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answered = await this.#door.ask({
      ...asked,
      headers: {
        "User-Agent": this.#userAgent,
        ...asked.headers,
        ...(cookies === "" ? {} : { Cookie: cookies }),
        ...(sent.length === 0 ? {} : { [header]: sent.join(", ") }),
      },
    });
    return { answered, keep: () => this.#keep(answered, sent) };
  }

  async ask(asked: Asked): Promise<Answered> {
    const { answered, keep } = await this.send(asked);
    keep();
    return answered;
  }

  #keep({ headers }: Answered, sent: readonly string[]): void {
    for (const line of headers["set-cookie"] ?? []) {
      const [pair = ""] = line.split(";", 1);
      const name = pair.slice(0, pair.indexOf("="));
      if (/; Max-Age=0/.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, pair.slice(name.length + 1));
    }
    const token = headers[header];
    if (typeof token !== "string") return;
    for (const one of sent) this.#tokens.delete(one);
    this.#tokens.add(token);
  }
}
