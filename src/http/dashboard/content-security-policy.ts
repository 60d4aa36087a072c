/** Lets a page run its own script and use its own style, and nothing else. */
import { createHash } from "node:crypto";

/** The value of `Content-Security-Policy` for a page whose scripts and styles are inline. */
export function contentSecurityPolicyOf(page: string): string {
  return [
    "default-src 'none'",
    `script-src ${hashesOf(page, "script")}`,
    `style-src ${hashesOf(page, "style")}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function hashesOf(page: string, element: "script" | "style"): string {
  const found = page.matchAll(new RegExp(`<${element}[^>]*>([^]*?)</${element}>`, "g"));
  const hashes = [...found].map(
    ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`,
  );
  return hashes.length === 0 ? "'none'" : hashes.join(" ");
}
