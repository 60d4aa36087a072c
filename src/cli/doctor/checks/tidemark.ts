/** Checks what Tidemark itself makes of the servers. */
import type { Check } from "../check.js";
import type { Finding, Verdict } from "../finding.js";
import { Subject } from "../subject.js";

/** What to do about a state in which a server answers no reads. The table of states in docs/topologies.md says more. */
const advice: Readonly<Record<string, readonly [verdict: Extract<Verdict, "warn" | "fail">, what: string]>> =
  {
    starting: ["warn", "Nothing recent is known of it yet. Run the doctor again."],
    silent: [
      "fail",
      "Check that it runs, and its host, port and TLS options. If its address does not work from here, give --nat-map.",
    ],
    unauthorized: ["fail", "Set a user and a password that it accepts, or add the ACL rule +select."],
    loading: ["warn", "It loads its data. Wait."],
    refusing: [
      "fail",
      "If it is a Sentinel, use --sentinel. Otherwise look at its log, and at the rules of the user there.",
    ],
    unproven: ["warn", "The primary is a proxy. Give the addresses of the servers themselves, if you can."],
    "unknown-position": ["fail", "Add the ACL rule +info."],
    "other-primary": ["fail", "Make it a replica with REPLICAOF, or leave it out."],
    "unknown-history": ["fail", "Give it the right primary with REPLICAOF, or leave it out."],
    syncing: [
      "warn",
      "It copies all data of its primary. Wait. If this repeats, raise repl-backlog-size and client-output-buffer-limit.",
    ],
    "link-down": ["fail", "Check its log, its network and the password that it sends to its primary."],
    skewed: ["warn", "Synchronize the clocks."],
    excluded: ["warn", "Its weight is 0."],
    demoted: ["fail", "Check that a replica was promoted, and that Tidemark knows this server."],
  };

const states: Check = {
  id: "tidemark-states",
  group: "Tidemark",
  title: "servers as Tidemark sees them",
  examine({ tidemark, servers }) {
    const all = new Subject(this);
    if (tidemark === undefined) return [all.skip("no Tidemark was opened")];
    const { nodes, absence, error } = tidemark;
    if (absence !== undefined) return [all.skip(`no Tidemark was opened: ${absence}`)];
    const findings = nodes.map(({ address, role, state, reason }): Finding => {
      const subject = new Subject(
        this,
        servers.find((server) => server.isAt(address)),
        address,
      );
      const detail = reason === undefined ? "" : `: ${reason}`;
      if (state === "serving") return subject.pass(`${role}, serving`);
      if (state === "behind") return subject.skip(`${role}, behind${detail}`);
      const [verdict, why] =
        advice[state] ?? (["warn", "See the table of states in docs/topologies.md."] as const);
      return subject[verdict](`${role}, ${state}${detail}`, { why });
    });
    if (error === undefined) return findings;
    return [
      all.fail(`Tidemark found no primary that takes commands: ${error}`, {
        why: "Every write would wait, and then fail.",
      }),
      ...findings,
    ];
  },
};

export const tidemarkChecks: readonly Check[] = [states];
