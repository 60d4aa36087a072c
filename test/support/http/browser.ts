/** A browser whose requests go to the doors of an app, and whose responses arrive when a test says so. */
import { CookieJar } from "./cookie-jar.js";
import type { Answered, Asked, Door } from "./door.js";

export class Browser {
  readonly jar: CookieJar;
  readonly #doors: readonly Door[];
  readonly #url: string;
  #asked = 0;

  /** Each request goes to the next one of `doors`, as if it were `url`. */
  constructor(doors: readonly Door[], url = "http://shop.example.com/", jar = new CookieJar()) {
    this.jar = jar;
    this.#doors = doors;
    this.#url = url;
  }

  /** The names of the cookies that the next request brings. */
  get names(): string[] {
    return this.jar.names(this.#url);
  }

  /** How long the header is that brings them. */
  get bytes(): number {
    return this.jar.header(this.#url)?.length ?? 0;
  }

  /** Asks with the cookies there are now; those of the answer are taken in by `arrive`. */
  async send(asked: Asked): Promise<{ readonly answered: Answered; arrive(): void }> {
    const door = this.#doors[this.#asked++ % this.#doors.length];
    if (door === undefined) throw new Error("there is no door");
    const cookie = this.jar.header(this.#url);
    const headers = { ...asked.headers, ...(cookie === undefined ? {} : { Cookie: cookie }) };
    const answered = await door.ask({ ...asked, headers });
    return { answered, arrive: () => this.jar.receive(this.#url, answered.headers["set-cookie"]) };
  }

  async ask(asked: Asked = {}): Promise<Answered> {
    const { answered, arrive } = await this.send(asked);
    arrive();
    return answered;
  }
}
