/** Keeps cookies as a browser does, for one user of one site. */

interface Kept {
  readonly value: string;
  readonly expiresAt: number;
}

export class CookieJar {
  readonly #cookies = new Map<string, Kept>();

  /** Takes in the `Set-Cookie` lines of a response. */
  take(lines: readonly string[] = []): void {
    for (const line of lines) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
      if (name === undefined || value === undefined) continue;
      const maxAge = /;\s*Max-Age=(-?\d+)/i.exec(line)?.[1];
      const expiresAt = maxAge === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(maxAge) * 1000;
      this.#cookies.set(name, { value, expiresAt });
    }
  }

  /** The `Cookie` header of the next request; empty when there is nothing to send. */
  header(): string {
    const now = Date.now();
    for (const [name, { expiresAt }] of this.#cookies) if (expiresAt <= now) this.#cookies.delete(name);
    return [...this.#cookies].map(([name, { value }]) => `${name}=${value}`).join("; ");
  }
}
