/** Further processes of a bench: each answers what it is asked, one message for one. */
import { type ChildProcess, fork } from "node:child_process";

interface Message {
  readonly id: number;
  readonly body: unknown;
}

/** A process that runs `file`, which has called `answer`. */
export class Worker implements Disposable {
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, (body: unknown) => void>();
  #last = 0;

  /** With further `flags` for Node, and on the Node at `execPath`. */
  constructor(file: URL, flags: readonly string[] = [], execPath = process.execPath) {
    this.#child = fork(file, { execPath, execArgv: [...process.execArgv, ...flags] });
    this.#child.on("message", ({ id, body }: Message) => {
      this.#asked.get(id)?.(body);
      this.#asked.delete(id);
    });
    this.#child.on("exit", (code) => {
      if (code) throw new Error(`${file.pathname} ended with ${code}`);
    });
  }

  /** Resolves with what the process answers. */
  ask<Answer>(question: unknown): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      this.#asked.set(id, (body) => resolve(body as Answer));
      this.#child.send({ id, body: question } satisfies Message);
    });
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }
}

/** Has this process answer; it ends when nobody can ask it any more. */
export function answer<Question>(reply: (question: Question) => Promise<unknown>): void {
  process.on("message", ({ id, body }: Message) => {
    void reply(body as Question).then((answered) => process.send?.({ id, body: answered }));
  });
  process.on("disconnect", () => process.exit());
}
