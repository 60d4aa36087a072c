/** The headers that `writeHead` was given. */

/** A header that Node has accepted. */
export type GivenHeader = readonly [name: string, value: unknown];

/** What Node reads from the arguments of a successful `writeHead` when the response has no headers of its own. */
export function headersAmong([, reason, last]: readonly unknown[]): readonly GivenHeader[] {
  const headers = typeof reason === "string" ? last : (last ?? reason);
  if (!Array.isArray(headers)) return Object.entries(Object(headers));
  const list: readonly unknown[] = headers;
  if (Array.isArray(list[0])) return list.flatMap((pair) => (Array.isArray(pair) ? [given(pair)] : []));
  return list.flatMap((name, at) => (at % 2 === 0 ? [given([name, list[at + 1]])] : []));
}

/** Sets `headers`, which may name one several times. */
export function setAll(
  response: Record<"setHeader" | "appendHeader", (name: string, value: unknown) => unknown>,
  headers: readonly GivenHeader[],
): void {
  const known = new Set<string>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (known.has(key)) response.appendHeader(name, value);
    else response.setHeader(name, value);
    known.add(key);
  }
}

function given([name, value]: readonly unknown[]): GivenHeader {
  return [String(name), value];
}
