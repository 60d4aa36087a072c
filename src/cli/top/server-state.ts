/** The state that a Tidemark would report for a server, judged by one look from outside. */
import { addressOf } from "../../address.js";
import type { NodeState } from "../../diagnostics/channels.js";
import { faultOf, parseReplicationInfo } from "../../replication/replication-info.js";
import { valueIn } from "../inspection/answer.js";
import { numberIn } from "../inspection/info.js";
import type { InspectedServer } from "../inspection/server.js";
import { durationText, secondsText } from "./quantities.js";

export interface StateOfServer {
  readonly state: NodeState;
  /** Why the server may not answer reads. Undefined if it may. */
  readonly reason: string | undefined;
}

export interface StateContext {
  /** The primary of the group. */
  readonly primary: InspectedServer | undefined;
  readonly lagMs: number | undefined;
  readonly maxStalenessMs: number;
  /** Since when the server has left a question unanswered. Undefined if it has answered the latest. */
  readonly silentMs: number | undefined;
}

const login = /\b(WRONGPASS|NOAUTH|NOPERM)\b/;

export function stateOfServer(server: InspectedServer, context: StateContext): StateOfServer {
  const { primary, silentMs, lagMs, maxStalenessMs } = context;
  const unheard = silentMs === undefined ? unheardState(server) : silentFor(silentMs);
  if (unheard !== undefined) return unheard;
  const loading = loadingState(server);
  if (loading !== undefined) return loading;
  const text = valueIn(server.replicationText);
  const replication = parseReplicationInfo(text);
  if (replication === undefined) return { state: "unknown-position", reason: faultOf(text) };
  if (server === primary) return { state: "serving", reason: undefined };
  if (replication.role === "primary")
    return { state: "other-primary", reason: "it reports to be a primary too, so its data may differ" };
  const from = server.upstream === undefined ? "its primary" : addressOf(server.upstream);
  if (replication.syncing)
    return { state: "syncing", reason: `its full synchronization with ${from} is not finished` };
  if (!replication.linkUp) return { state: "link-down", reason: linkReason(server, from) };
  if (primary === undefined)
    return { state: "behind", reason: "its staleness is unknown while there is no primary" };
  if (parseReplicationInfo(valueIn(primary.replicationText))?.replid !== replication.replid)
    return {
      state: "unknown-history",
      reason: `it replicates from ${from}, and its replication id differs from the primary's`,
    };
  if (lagMs !== undefined && lagMs > maxStalenessMs)
    return {
      state: "behind",
      reason: `it is ${durationText(lagMs)} behind, more than maxStalenessMs (${durationText(maxStalenessMs)})`,
    };
  return { state: "serving", reason: undefined };
}

/** The state of a server that did not answer the latest question. */
function unheardState({ connection, info }: InspectedServer): StateOfServer | undefined {
  const answer = connection.kind === "value" ? info : connection;
  switch (answer.kind) {
    case "value":
      return undefined;
    case "hidden":
      return { state: "refusing", reason: `this user may not ask it. Add the ACL rule ${answer.rule}` };
    case "absent":
      return { state: "refusing", reason: answer.message };
    case "failed":
      if (/^LOADING\b/.test(answer.message)) return { state: "loading", reason: "it loads its data" };
      return { state: login.test(answer.message) ? "unauthorized" : "silent", reason: answer.message };
  }
}

function silentFor(ms: number): StateOfServer {
  return { state: "silent", reason: `no answer for ${secondsText(ms / 1_000)}` };
}

function loadingState({ info }: InspectedServer): StateOfServer | undefined {
  const fields = valueIn(info);
  if (fields === undefined || fields.get("loading") !== "1") return undefined;
  const percent = numberIn(fields, "loading_loaded_perc");
  const progress = percent === undefined ? "" : ` (${Math.floor(percent)} %)`;
  return { state: "loading", reason: `it loads its data${progress}` };
}

function linkReason({ info }: InspectedServer, from: string): string {
  const fields = valueIn(info);
  const seconds = fields && numberIn(fields, "master_link_down_since_seconds");
  // Redis reports -1 for a link that was never up.
  const since = seconds === undefined || seconds < 0 ? "" : ` for ${secondsText(seconds)}`;
  return `its link to ${from} has been down${since}`;
}
