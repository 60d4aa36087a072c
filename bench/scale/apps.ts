/** App processes that end together, whatever becomes of the bench. */
import { Worker } from "../report/worker.js";
import type { AppQuestion } from "./app.js";

export class Apps implements Disposable {
  readonly #workers: Worker[] = [];

  /** Resolves with one more when it has begun. */
  async start(question: AppQuestion): Promise<Worker> {
    const worker = new Worker(new URL("./app.js", import.meta.url));
    this.#workers.push(worker);
    await worker.ask(question);
    return worker;
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker[Symbol.dispose]();
  }
}
