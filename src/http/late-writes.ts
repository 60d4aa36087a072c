/** Writes that a response can not tell its user of, because it has gone. */
import { lateWriteChannel } from "../channels.js";

/** As many routes as are warned of; what is named by its path alone has no end. */
const maxRoutes = 100;

/** Told on `tidemark:late-write` each time, by a process warning once for each route. */
export class LateWrites {
  readonly #routes = new Set<string>();

  report(session: object, route: string): void {
    if (lateWriteChannel.hasSubscribers) lateWriteChannel.publish({ session, route });
    if (this.#routes.has(route) || this.#routes.size >= maxRoutes) return;
    this.#routes.add(route);
    process.emitWarning(
      `${route} writes what no response brings the token of, so that its user may miss the write.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_LATE_WRITE",
        detail: "Await the write before the first bytes leave, or hand session.token() on by yourself.",
      },
    );
  }
}
