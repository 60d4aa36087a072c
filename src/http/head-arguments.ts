/** What `writeHead` is given. */

interface HeaderStore {
  setHeader(name: string, value: unknown): unknown;
  appendHeader(name: string, value: unknown): unknown;
}

/**
 * Has `response` keep the headers among `args`, and returns the rest: Node remembers none that are given to writeHead, and a head
 * built again would lack them.
 */
export function remembered(response: HeaderStore, args: readonly unknown[]): unknown[] {
  const [code, reason, last] = args;
  const hasMessage = typeof reason === "string";
  const headers = hasMessage ? last : (last ?? reason);
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers : pairsOf(headers);
    if (pairs === undefined) return [...args];
    const known = new Set<string>();
    for (const [name, value] of pairs) {
      const key = String(name).toLowerCase();
      if (known.has(key)) response.appendHeader(name, value);
      else response.setHeader(name, value);
      known.add(key);
    }
  } else if (typeof headers === "object" && headers !== null) {
    for (const [name, value] of Object.entries(headers)) if (name) response.setHeader(name, value);
  }
  return hasMessage ? [code, reason] : [code];
}

function pairsOf(flat: readonly unknown[]): readonly (readonly unknown[])[] | undefined {
  if (flat.length % 2 !== 0) return undefined;
  return flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]]] : []));
}
