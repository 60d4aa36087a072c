/** Whether a cache that several users share may answer others with a response, by RFC 9111 and RFC 9213. */
import type { IncomingHttpHeaders } from "node:http";

/** The headers for each kind of shared cache, in the order in which such a cache looks for them. */
const targetedAt: Readonly<Record<string, readonly string[]>> = {
  "any cache": [],
  "a CDN of RFC 9213": ["cdn-cache-control"],
  Cloudflare: ["cloudflare-cdn-cache-control", "cdn-cache-control"],
  Vercel: ["vercel-cdn-cache-control", "cdn-cache-control"],
  Netlify: ["netlify-cdn-cache-control", "cdn-cache-control"],
  Fastly: ["surrogate-control"],
};

/** Statuses that a cache may keep without being told for how long. */
const heuristic = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);

/** The caches that would keep a response for all their users. */
export function cachesThatKeep(status: number, headers: IncomingHttpHeaders): string[] {
  return Object.entries(targetedAt)
    .filter(([, names]) => keeps(status, headers, names))
    .map(([cache]) => cache);
}

function keeps(status: number, headers: IncomingHttpHeaders, targeted: readonly string[]): boolean {
  const target = targeted.map((name) => headers[name]).find((value) => value !== undefined);
  const directives = read(String(target ?? headers["cache-control"] ?? ""));
  // A strict reader: a qualified "private" forbids its own fields alone.
  if (directives.get("private") === true) return false;
  if (directives.has("no-store") && !directives.has("must-understand")) return false;
  const isExplicit = ["public", "s-maxage", "max-age"].some((name) => directives.has(name));
  return isExplicit || (target === undefined && headers.expires !== undefined) || heuristic.has(status);
}

/** Each directive with whether it stands alone. */
function read(value: string): Map<string, boolean> {
  const directives = new Map<string, boolean>();
  let [name, isQuoted, isAlone] = ["", false, true];
  for (const character of `${value},`) {
    if (character === '"') isQuoted = !isQuoted;
    if (isQuoted || character === '"') continue;
    if (character === ",") {
      if (name.trim() !== "") directives.set(name.trim().toLowerCase(), isAlone);
      [name, isAlone] = ["", true];
    } else if (character === "=") isAlone = false;
    else if (isAlone) name += character;
  }
  return directives;
}
