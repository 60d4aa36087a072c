/** The warnings of Tidemark, while a test listens. */

export interface Warnings extends Disposable {
  /** The texts of those with a code, in order, each with its details. */
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
    of: (code) =>
      heard
        .filter((warning) => Reflect.get(warning, "code") === code)
        .map((warning) => `${warning.message} ${Reflect.get(warning, "detail")}`),
    [Symbol.dispose]: () => process.off("warning", listener),
  };
}
