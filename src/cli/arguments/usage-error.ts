/** An error in what the user typed. */

/** The program prints the message without a stack, and exits with code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A URL without its user and password, for messages. */
export function withoutPassword(url: string): string {
  const at = url.lastIndexOf("@");
  const scheme = /^[a-z]+:\/\//i.exec(url)?.[0] ?? "";
  return withoutParameters(at < 0 ? url : `${scheme}***@${url.slice(at + 1)}`);
}

/** A message without the passwords of the URLs and options in it. */
export function withoutPasswords(message: string): string {
  const words = message.split(/([\s'"]+)/);
  const cleaned = words.map((word) =>
    /^-/.test(word) ? word.replace(/=.*/s, "=***") : withoutPassword(word),
  );
  return cleaned.join("");
}

function withoutParameters(url: string): string {
  return url.replace(/((?:user|username|pass|password)=)[^&#\s]*/gi, "$1***");
}
