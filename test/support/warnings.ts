/** What the process is warned of while a test listens. */

export interface Warnings extends Disposable {
  readonly heard: readonly Error[];
  /** The messages of those with this code. */
  of(code: string): string[];
  /** The same, each with its details. */
  inFull(code: string): string[];
}

/** Listens until disposed of. */
export function listenToWarnings(): Warnings {
  const heard: Error[] = [];
  const listener = (warning: Error): void => {
    heard.push(warning);
  };
  const given = (code: string): Error[] => heard.filter((warning) => Reflect.get(warning, "code") === code);
  process.on("warning", listener);
  return {
    heard,
    of: (code) => given(code).map(({ message }) => message),
    inFull: (code) => given(code).map((warning) => `${warning.message} ${Reflect.get(warning, "detail")}`),
    [Symbol.dispose]: () => process.off("warning", listener),
  };
}
