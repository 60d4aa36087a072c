/** Names the kind of a value for error messages, which must not show a secret that was given in the wrong place. */

/** The words that options accept, and words that people often give instead. */
const words = new Set([
  ...["eventual", "session", "bounded", "strong", "primary", "replica", "error", "report"],
  ...["when-needed", "always", "never", "all", "lax", "strict", "none", "low", "medium", "high"],
  ...["true", "false", "yes", "no", "on", "off", "auto", "null", "undefined", ""],
]);

/** The kinds of objects in plain words, by JavaScript's own name for each kind. */
const kinds: Readonly<Record<string, string>> = {
  "[object Uint8Array]": "a Buffer",
  "[object Map]": "a Map",
  "[object Set]": "a Set",
  "[object Date]": "a Date",
  "[object URL]": "a URL object",
  "[object Promise]": "a Promise",
};

/**
 * Returns `undefined`, a number, a boolean or a known word as it is. Everything else becomes `a string`, `an array`, `a Buffer`
 * and so on.
 */
export function kindOf(value: unknown): string {
  switch (typeof value) {
    case "string":
      return words.has(value.toLowerCase()) ? `"${value}"` : "a string";
    case "number":
    case "boolean":
    case "undefined":
      return String(value);
    case "object":
      return kindOfObject(value);
    default:
      return `a ${typeof value}`;
  }
}

function kindOfObject(value: object | null): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return kinds[Object.prototype.toString.call(value)] ?? "an object";
}
