/** The process warnings that Tidemark gives while a test listens. */

export interface Warnings extends Disposable {
  /** The messages of all warnings with that code, in order. */
  of(code: string): string[];
}

/** Listens to the process's warnings until disposed of. */
export function listenToWarnings(): Warnings {
  const heard: { readonly code: unknown; readonly message: string }[] = [];
  const listener = (warning: Error): void => {
    heard.push({ code: Reflect.get(warning, "code"), message: warning.message });
  };
  process.on("warning", listener);
  return {
    of: (code) => heard.filter((one) => one.code === code).map(({ message }) => message),
    [Symbol.dispose]: () => void process.off("warning", listener),
  };
}
