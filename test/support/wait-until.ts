/** Waits for a state instead of sleeping for a time: the only way a test here lets time pass. */

const POLL_MS = 5;

export interface WaitOptions {
  /** The awaited state, as the error names it. */
  readonly what: string;
  readonly timeoutMs?: number;
}

/**
 * Resolves once `condition` is true. A condition that throws counts as not yet true, because connections
 * fail for a while during restarts; the last such error becomes the cause of the timeout. What it asserts has to hold
 * every time, so an assertion that fails is not waited out.
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { what, timeoutMs = 10_000 }: WaitOptions,
): Promise<void> {
  let expired = false;
  let cause: unknown;
  const attempt = async (): Promise<void> => {
    while (!expired) {
      try {
        if (await condition()) return;
      } catch (error) {
        if (isAssertion(error)) throw error;
        cause = error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  // A race, because a condition that asks a stopped server never answers at all.
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      expired = true;
      reject(new Error(`gave up after ${timeoutMs} ms waiting until ${what}`, { cause }));
    }, timeoutMs);
  });
  await Promise.race([attempt(), timeout]).finally(() => clearTimeout(timer));
}

/** Of vitest's `expect`, or of supertest's, whose errors have no name of their own. */
function isAssertion(error: unknown): boolean {
  return error instanceof Error && (error.name === "AssertionError" || error.message.startsWith("expected "));
}
