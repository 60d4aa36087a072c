/** Parses replies that list fields: INFO, and the flat lists of RESP2. */

/** The fields of an INFO reply, by their names in lower case. */
export type InfoFields = ReadonlyMap<string, string>;

/** The fields of the reply of INFO. Undefined if the reply is no text. */
export function parseInfo(reply: unknown): InfoFields | undefined {
  if (typeof reply !== "string") return undefined;
  const fields = new Map<string, string>();
  for (const line of reply.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#"))
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1));
  }
  return fields;
}

/** The fields of a flat list of names and values, as RESP2 has them, by their names in lower case. */
export function parseFlatList(reply: unknown): ReadonlyMap<string, unknown> | undefined {
  if (!Array.isArray(reply)) return undefined;
  const list: readonly unknown[] = reply;
  const fields = new Map<string, unknown>();
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]).toLowerCase(), list[at + 1]);
  return fields;
}

/** The `name=value` pairs of one line, as CLIENT INFO and the replica lines of INFO have them. */
export function parsePairs(line: string): ReadonlyMap<string, string> {
  const pairs = line
    .trim()
    .split(/[ ,]/)
    .filter((pair) => pair.includes("="));
  return new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
}

/** A whole number in a field. Undefined if there is no such field or no number in it. */
export function numberIn(fields: ReadonlyMap<string, unknown>, name: string): number | undefined {
  const text = fields.get(name);
  const number =
    typeof text === "number" ? text : typeof text === "string" && text !== "" ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}
