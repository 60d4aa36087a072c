/** Says once that a primary cannot be reached, where the app does not listen to errors, and once that it is back. */

/** A connection to a primary, as far as it tells why there is none. */
interface Reached {
  readonly address: string;
  /** For people. */
  readonly fault: string;
}

export class PrimaryOutages {
  /** When each was said, by the address, on the monotonic clock. */
  readonly #said = new Map<string, number>();

  /** Takes in that a connection has failed. */
  failed({ address, fault }: Reached): void {
    if (this.#said.has(address)) return;
    this.#said.set(address, performance.now());
    process.emitWarning(`The Redis primary at ${address} cannot be reached: ${fault.replace(/\.$/, "")}.`, {
      type: "TidemarkWarning",
      code: "TIDEMARK_PRIMARY_UNREACHABLE",
      detail:
        "Check that the server runs, and its host, port, password and TLS options. Tidemark keeps connecting, and commands " +
        'wait for up to primaryTimeoutMs. Listen to tidemark.redis.on("error") to handle each error instead of this warning.',
    });
  }

  /** Takes in that a server can be reached. */
  reached({ address }: Pick<Reached, "address">): void {
    this.#takeBack(address, `The Redis server at ${address} can be reached again`);
  }

  /** Takes in that another server is the primary now. */
  replaced({ address }: Pick<Reached, "address">): void {
    this.#takeBack(address, `Another server has taken the place of the Redis primary at ${address}`);
  }

  #takeBack(address: string, what: string): void {
    const since = this.#said.get(address);
    if (since === undefined) return;
    this.#said.delete(address);
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    process.emitWarning(`${what}, after ${seconds} s.`, {
      type: "TidemarkWarning",
      code: "TIDEMARK_PRIMARY_REACHED",
    });
  }
}
