/** The states of servers in plain English. */
import type { NodeState } from "../src/diagnostics/channels.js";

export interface StateText {
  /** Continues a sentence that begins with the server's address. */
  readonly phrase: string;
  readonly advice?: string;
}

export const stateTexts: Readonly<Record<NodeState, StateText>> = {
  serving: { phrase: "serves" },
  starting: { phrase: "is starting", advice: "Wait a moment." },
  silent: {
    phrase: "does not answer",
    advice: "Check that it runs, and its host, port and TLS options.",
  },
  unauthorized: {
    phrase: "refuses the user or the password",
    advice: "Set a user and a password that it accepts, or add the ACL rule +select.",
  },
  loading: { phrase: "loads its data", advice: "Wait." },
  refusing: { phrase: "refuses reads", advice: "Look at its log and its ACL rules." },
  "unknown-position": { phrase: "does not report its position", advice: "Add the ACL rule +info." },
  "other-primary": {
    phrase: "reports that it is a primary",
    advice: "Make it a replica with REPLICAOF, or remove it from the configuration.",
  },
  "unknown-history": {
    phrase: "replicates from another primary",
    advice: "Give it the right primary with REPLICAOF, or remove it from the configuration.",
  },
  syncing: {
    phrase: "copies all data of its primary",
    advice: "Wait. If this repeats, raise repl-backlog-size and client-output-buffer-limit.",
  },
  "link-down": {
    phrase: "has lost the connection to its primary",
    advice: "Check its log, its network and the password that it sends to its primary.",
  },
  behind: { phrase: "is too far behind", advice: "Check its load and its network." },
  skewed: { phrase: "has a clock that differs from the primary's", advice: "Synchronize the clocks." },
  unproven: { phrase: 'answers only reads at level "eventual", because the primary is a proxy' },
  excluded: { phrase: "has weight 0" },
  demoted: {
    phrase: "has become a replica, and no other primary is known",
    advice: "Check that a replica was promoted and that Tidemark knows it.",
  },
};
