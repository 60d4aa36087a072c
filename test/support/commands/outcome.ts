/** The outcome of a call, so that two outcomes can be compared. */

/** The value, or all of the error that its receiver can see. */
export async function outcomeOf(call: () => unknown): Promise<unknown> {
  try {
    return { value: told(await call()) };
  } catch (error) {
    return { error: told(error) };
  }
}

/** The same with each error, at any depth, as its class, its message and what else is on it. */
function told(value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message } = value;
    return { class: Object.getPrototypeOf(value), name, message, ...toldFields(value) };
  }
  return Array.isArray(value) ? value.map(told) : value;
}

function toldFields(error: Error): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(error)
      .filter(([field]) => field !== "stack")
      .map(([field, value]) => [field, told(value)]),
  );
}
