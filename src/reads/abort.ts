/** Who is told that a signal was aborted. */

const told = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Has `call` called when `signal` is aborted, unless what this returns is called before. A signal gets one listener for
 * all who wait with it, since Node warns of a leak where there are more than ten.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const calls = told.get(signal) ?? listen(signal);
  calls.add(call);
  return () => calls.delete(call);
}

function listen(signal: AbortSignal): Set<() => void> {
  const calls = new Set<() => void>();
  told.set(signal, calls);
  const tell = (): void => {
    for (const call of calls) call();
  };
  signal.addEventListener("abort", tell, { once: true });
  return calls;
}
