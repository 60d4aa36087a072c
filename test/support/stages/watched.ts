/** Promises that must not be settled yet. */

/** Tells whether `promise` has been settled by now, whatever came of it. */
export function watched(promise: Promise<unknown>): { isOver: boolean } {
  const watch = { isOver: false };
  const over = (): void => {
    watch.isOver = true;
  };
  promise.then(over, over);
  return watch;
}
