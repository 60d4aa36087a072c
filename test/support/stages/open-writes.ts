/** Writes that a test begins and ends by hand, in place of a router. */
import type { WriteHandle, WriteOutcome } from "../../../src/replication/write-outcome.js";
import type { Session } from "../../../src/session/session.js";

const open = new WeakMap<Session, WriteHandle[]>();

/** Counts a write of `session` as in flight. */
export function startWrite(session: Session | undefined, command?: string): void {
  if (session === undefined) return;
  const handles = open.get(session) ?? [];
  open.set(session, handles);
  handles.push(session.beginWrite(command));
}

/** Ends the oldest of them; without one, a write that was in flight for no time. */
export function endWrite(session: Session, outcome: WriteOutcome): void {
  (open.get(session)?.shift() ?? session.beginWrite()).end(outcome);
}
