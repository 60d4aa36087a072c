/** What the process is warned of while a test listens. */

export interface Warnings extends Disposable {
  readonly heard: readonly Error[];
  /** The messages of those with this code. */
  of(code: string): string[];
}

/** Listens until disposed of. */
export function listenToWarnings(): Warnings {
  const heard: Error[] = [];
  const listener = (warning: Error): void => {
    heard.push(warning);
  };
  process.on("warning", listener);
  return {
    heard,
    of: (code) =>
      heard.filter((warning) => Reflect.get(warning, "code") === code).map(({ message }) => message),
    [Symbol.dispose]: () => process.off("warning", listener),
  };
}
