/** A write that is read back, until a read of it goes the way that is wanted. */

import { expect } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import { listenToRoutes } from "../listeners/routes.js";
import { waitUntil } from "../wait-until.js";

/** Writes, and reads back until the read goes `route`, as in "replica:known"; every answer has to be right. */
export async function readsBack(tidemark: Tidemark, route: string): Promise<void> {
  const session = tidemark.session();
  await session.redis.set("k", "v");
  using routes = listenToRoutes();
  await waitUntil(
    async () => {
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("v");
      return routes.of("get").at(-1)?.startsWith(route) ?? false;
    },
    { what: `a read goes ${route}` },
  );
}
