/** A primary that other clients keep busy. */
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { Worker } from "../report/worker.js";
import type { OtherClientsQuestion } from "./other-clients.js";

/** The share of its time that the primary works for others. */
export const busyShare = 0.7;
/** Commands that are tried to find out what one of them costs. */
const tried = 1_000;

export class BusyPrimary implements Disposable {
  readonly #primary: RedisServer;
  readonly #others = new Worker(new URL("./other-clients.js", import.meta.url));
  #perSecond = 0;

  private constructor(primary: RedisServer) {
    this.#primary = primary;
  }

  static async start(primary: RedisServer): Promise<BusyPrimary> {
    const busy = new BusyPrimary(primary);
    await busy.#ask({ primary: primary.url });
    const cpuBefore = await busy.cpuMs();
    await busy.#ask({ commands: tried });
    const cpuMs = (await busy.cpuMs()) - cpuBefore;
    busy.#perSecond = (busyShare * 1_000 * tried) / cpuMs;
    return busy;
  }

  /** Keeps the primary busy until the returned object is disposed of. */
  async begin(): Promise<AsyncDisposable> {
    await this.#ask({ perSecond: this.#perSecond });
    return { [Symbol.asyncDispose]: () => this.#ask({ perSecond: 0 }) };
  }

  /** The CPU that the primary has used so far. */
  async cpuMs(): Promise<number> {
    const { used_cpu_user: user, used_cpu_sys: system } = await this.#primary.info("cpu");
    return (Number(user) + Number(system)) * 1_000;
  }

  async #ask(question: OtherClientsQuestion): Promise<void> {
    await this.#others.ask(question);
  }

  [Symbol.dispose](): void {
    this.#others[Symbol.dispose]();
  }
}
