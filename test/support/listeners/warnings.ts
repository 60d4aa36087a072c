/** The warnings of the process while a test listens. */

import { hearsItself } from "../stages/test-scope.js";

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
  const isOwn = hearsItself();
  const listener = (warning: Error): void => {
    if (isOwn()) heard.push(warning);
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

/** The lists that a warning proposes for `scopes` and `untracked`, as somebody would paste them. */
export function optionsIn(warning: string): { scopes?: string[]; untracked?: string[] } {
  const lists = [...warning.matchAll(/(scopes|untracked): (\[.*?\])/g)];
  return Object.fromEntries(lists.map(([, option = "", list = ""]) => [option, JSON.parse(list)]));
}
