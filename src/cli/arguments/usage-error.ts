/** An error in what the user typed. */

/** The program prints the message without a stack, and exits with code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A URL without its secrets, for messages. */
export function withoutPassword(url: string): string {
  const at = url.lastIndexOf("@");
  const scheme = /^[a-z]+:\/\//i.exec(url)?.[0] ?? "";
  const shown = at < 0 ? url : `${scheme}***@${url.slice(at + 1)}`;
  return shown.replace(/((?:user|username|pass|password)=)[^&#\s]*/gi, "$1***");
}
