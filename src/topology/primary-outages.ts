/** Warns once that there is no primary, if the app does not listen to errors, and once that there is one again. */

/** Replaces the address of a primary that nobody has named yet. */
const unnamed = "unnamed";

const patience = "Tidemark keeps reconnecting, and commands wait for up to primaryTimeoutMs.";
const check = "Check that the server runs, and its host, port, password and TLS options.";
const listen = 'Listen to tidemark.redis.on("error") to handle each error instead of this warning.';

export class PrimaryOutages {
  /** By subject: when the warning about it was given, on the monotonic clock. */
  readonly #warnedAt = new Map<string, number>();

  /** Called when a connection to the primary has failed. */
  failed(address: string, fault: string): void {
    const message = `The Redis primary at ${address} cannot be reached: ${sentence(fault)}`;
    this.#warn(address, message, `${check} ${patience} ${listen}`);
  }

  /** Called when the server at an address is a replica and no other primary is known. */
  demoted(address: string, fault: string): void {
    const message = `The Redis server at ${address} is not a primary: ${sentence(fault)}`;
    this.#warn(
      roleOf(address),
      message,
      "Commands that need the primary fail until a server that Tidemark knows is the primary.",
    );
  }

  /** Called when the server at an address is the primary and answers. */
  serves(address: string): void {
    this.#end(roleOf(address), `The Redis server at ${address} is the primary now`);
  }

  /** Called repeatedly while none of `servers` has named a primary. `fault` contains the causes. */
  unnamed(servers: "Sentinels" | "cluster nodes", fault: string): void {
    const detail =
      "Check that these servers run and that their addresses are right. Tidemark keeps asking them.";
    this.#warn(unnamed, `The ${servers} have not named a primary: ${sentence(fault)}`, detail);
  }

  /** Called repeatedly while a primary is named. */
  named(): void {
    this.#end(unnamed, "A Redis primary has been named");
  }

  /** Called when a server has been reached. */
  reached(address: string): void {
    this.#end(address, `The Redis server at ${address} can be reached again`);
  }

  /** Called when another server has become the primary. */
  replaced(address: string): void {
    for (const subject of [address, roleOf(address)])
      this.#end(subject, `Another server has replaced the Redis primary at ${address}`);
  }

  #warn(subject: string, message: string, detail: string): void {
    if (this.#warnedAt.has(subject)) return;
    this.#warnedAt.set(subject, performance.now());
    const code = "TIDEMARK_PRIMARY_UNREACHABLE";
    process.emitWarning(message, { type: "TidemarkWarning", code, detail });
  }

  #end(subject: string, what: string): void {
    const since = this.#warnedAt.get(subject);
    if (since === undefined) return;
    this.#warnedAt.delete(subject);
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
