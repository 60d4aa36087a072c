/** The head of a Web `Response`, which may have to be built again to be changed. */
import type { CarrierResponse } from "../carriers/carrier.js";

/** Statuses of responses that no constructor makes: of an error, and of protocols that are switched. */
const unmade = new Set([0, 101]);

export class ResponseHead implements CarrierResponse {
  readonly #response: Response;
  #headers: Headers;

  private constructor(response: Response) {
    this.#response = response;
    this.#headers = response.headers;
  }

  /** The response with what `bring` sets, or another that is the same but for it. */
  static async of(response: Response, bring: (head: CarrierResponse) => Promise<void>): Promise<Response> {
    const head = new ResponseHead(response);
    await bring(head);
    return head.#built();
  }

  getHeader(name: string): string | readonly string[] | undefined {
    if (name.toLowerCase() !== "set-cookie") return this.#headers.get(name) ?? undefined;
    const cookies = this.#headers.getSetCookie();
    return cookies.length === 0 ? undefined : cookies;
  }

  setHeader(name: string, value: string | readonly string[]): void {
    try {
      replace(this.#headers, name, value);
    } catch {
      // Those of redirections and of what `fetch` got are immutable.
      this.#headers = new Headers(this.#headers);
      replace(this.#headers, name, value);
    }
  }

  #built(): Response {
    const { body, status, statusText, headers } = this.#response;
    if (this.#headers === headers || unmade.has(status)) return this.#response;
    return new Response(body, { status, statusText, headers: this.#headers });
  }
}

function replace(headers: Headers, name: string, value: string | readonly string[]): void {
  headers.delete(name);
  for (const one of typeof value === "string" ? [value] : value) headers.append(name, one);
}
