/** Reads a password from the terminal without showing it. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { UsageError } from "./usage-error.js";

interface Prompt {
  readonly input: NodeJS.ReadStream;
  /** Shows the question. The report goes elsewhere, so that it can be piped. */
  readonly output: NodeJS.WritableStream;
}

/** Resolves with what the user typed. Undefined if the user gave up with Ctrl-C or Ctrl-D. */
export function askPassword({ input, output }: Prompt): Promise<string | undefined> {
  if (!input.isTTY)
    throw new UsageError("--ask-password needs a terminal. Set the variable REDISCLI_AUTH instead.");
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  // The terminal stops showing what is typed here, so the question must not come earlier.
  const lines = createInterface({ input, output: silence, terminal: true });
  output.write("Password: ");
  return new Promise((resolve) => {
    let isOver = false;
    const settle = (password: string | undefined): void => {
      if (isOver) return;
      isOver = true;
      output.write("\n");
      resolve(password);
      lines.close();
    };
    lines.once("line", settle);
    lines.once("SIGINT", () => settle(undefined));
    lines.once("close", () => settle(undefined));
  });
}
