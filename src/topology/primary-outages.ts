/** Says once that there is no primary, where the app does not listen to errors, and once that there is one. */

/** A connection to a primary, as far as it tells why there is none. */
interface Reached {
  readonly address: string;
  /** For people. */
  readonly fault: string;
}

/** Stands for the address of a primary that nobody has named yet. */
const unnamed = "unnamed";

const patience = "Tidemark keeps connecting, and commands wait for up to primaryTimeoutMs.";
const check = "Check that the server runs, and its host, port, password and TLS options.";
const listen = 'Listen to tidemark.redis.on("error") to handle each error instead of this warning.';

export class PrimaryOutages {
  /** When each was said, by what it was about, on the monotonic clock. */
  readonly #said = new Map<string, number>();

  /** Takes in that a connection has failed. */
  failed({ address, fault }: Reached): void {
    const message = `The Redis primary at ${address} cannot be reached: ${sentence(fault)}`;
    this.#say(address, message, `${check} ${patience} ${listen}`);
  }

  /** Takes in that the server at an address is no primary, and that no other one is known. */
  demoted({ address, fault }: Reached): void {
    const message = `The Redis server at ${address} is no primary: ${sentence(fault)}`;
    this.#say(
      roleOf(address),
      message,
      "Commands that need the primary fail until a server that Tidemark knows is the primary.",
    );
  }

  /** Takes in that the server at an address is the primary and answers. */
  serves({ address }: Pick<Reached, "address">): void {
    this.#takeBack(roleOf(address), `The Redis server at ${address} is the primary now`);
  }

  /** Takes in that none of `servers` has named a primary so far. */
  unnamed(servers: "Sentinels" | "cluster nodes", fault: string): void {
    const detail = `Check the addresses that you gave, and that these servers run. Tidemark keeps asking them.`;
    this.#say(unnamed, `The ${servers} have named no primary: ${sentence(fault)}`, detail);
  }

  /** Takes in that a primary was named. */
  named(): void {
    this.#takeBack(unnamed, "A Redis primary has been named");
  }

  /** Takes in that a server can be reached. */
  reached({ address }: Pick<Reached, "address">): void {
    this.#takeBack(address, `The Redis server at ${address} can be reached again`);
  }

  /** Takes in that another server is the primary now. */
  replaced({ address }: Pick<Reached, "address">): void {
    for (const about of [address, roleOf(address)])
      this.#takeBack(about, `Another server has taken the place of the Redis primary at ${address}`);
  }

  #say(about: string, message: string, detail: string): void {
    if (this.#said.has(about)) return;
    this.#said.set(about, performance.now());
    const code = "TIDEMARK_PRIMARY_UNREACHABLE";
    process.emitWarning(message, { type: "TidemarkWarning", code, detail });
  }

  #takeBack(about: string, what: string): void {
    const since = this.#said.get(about);
    if (since === undefined) return;
    this.#said.delete(about);
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    process.emitWarning(`${what}, after ${seconds} s.`, {
      type: "TidemarkWarning",
      code: "TIDEMARK_PRIMARY_REACHED",
    });
  }
}

function roleOf(address: string): string {
  return `role of ${address}`;
}

function sentence(fault: string): string {
  return `${fault.replace(/\.$/, "")}.`;
}
