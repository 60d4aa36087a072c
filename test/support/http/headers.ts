/** The headers of a response that is never sent. */
import type { CarrierResponse } from "../../../src/http/carriers/carrier.js";

type Value = number | string | readonly string[];

export class Headers implements CarrierResponse {
  readonly #values: Map<string, Value>;

  constructor(values: Readonly<Record<string, Value>> = {}) {
    this.#values = new Map(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]));
  }

  getHeader(name: string): Value | undefined {
    return this.#values.get(name.toLowerCase());
  }

  setHeader(name: string, value: Value): void {
    this.#values.set(name.toLowerCase(), value);
  }

  /** The lines of Set-Cookie. */
  get cookies(): readonly string[] {
    const lines = this.getHeader("Set-Cookie") ?? [];
    return typeof lines === "object" ? lines : [String(lines)];
  }
}
