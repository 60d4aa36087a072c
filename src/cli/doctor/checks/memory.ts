/** Checks of the memory: what is evicted where, and whether replicas have room for the primary's data. */
import { valueIn } from "../../inspection/answer.js";
import { numberIn } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { bytesText, percentText } from "../quantities.js";
import { openServers, Subject } from "../subject.js";

/** A primary that is this full is about to refuse writes. */
const nearlyFull = 0.9;

function field(server: InspectedServer, name: string): number {
  const info = valueIn(server.info);
  return (info && numberIn(info, name)) ?? 0;
}

const eviction: Check = {
  id: "eviction",
  group: "Memory and expiry",
  title: "keys that are evicted",
  examine(deployment) {
    return openServers(deployment).map((server): Finding => {
      const subject = new Subject(this, server);
      return subject.info((info): Finding => {
        const policy = info.get("maxmemory_policy") ?? "noeviction";
        const evicted = numberIn(info, "evicted_keys") ?? 0;
        const limit = numberIn(info, "maxmemory") ?? 0;
        const evicts = limit > 0 && policy !== "noeviction";
        if (server.role === "replica") return ofReplica(subject, evicts, policy, evicted);
        if (!evicts)
          return subject.pass(
            limit === 0 ? "no maxmemory, so nothing is evicted" : "maxmemory-policy is noeviction",
          );
        const found = `maxmemory-policy is ${policy}, and ${evicted} keys were evicted`;
        if (!/l[rf]u/.test(policy) || deployment.replicasOf(server).length === 0) return subject.pass(found);
        return subject.warn(found, {
          why: "The primary does not see reads on replicas. So it evicts keys that are read all the time, but only there.",
        });
      });
    });
  },
};

function ofReplica(subject: Subject, evicts: boolean, policy: string, evicted: number): Finding {
  return subject.config("replica-ignore-maxmemory", (ignores): Finding => {
    if (ignores === "yes") return subject.pass("evicts nothing by itself");
    const found = `replica-ignore-maxmemory is no, maxmemory-policy is ${policy}, and ${evicted} keys were evicted here`;
    if (!evicts && evicted === 0) return subject.pass("has no maxmemory, so it evicts nothing by itself");
    return subject.fail(found, {
      why: "A replica that evicts keys by itself answers that they are missing, whatever its position proves.",
      fix: subject.setting("replica-ignore-maxmemory", "yes"),
    });
  });
}

const headroom: Check = {
  id: "memory-headroom",
  group: "Memory and expiry",
  title: "memory that is left",
  examine(deployment) {
    const primaries = openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.info(() => ofPrimary(subject, primary));
    });
    const replicas = deployment.primaries.flatMap((primary) =>
      openServers({ servers: deployment.replicasOf(primary) }).map((replica) => {
        const subject = new Subject(this, replica);
        return subject.info(() =>
          primary.info.kind === "value"
            ? ofRoom(subject, primary, replica)
            : subject.unanswered(primary.info, "INFO of the primary"),
        );
      }),
    );
    return [...primaries, ...replicas];
  },
};

function ofPrimary(subject: Subject, primary: InspectedServer): Finding {
  const used = field(primary, "used_memory");
  const limit = field(primary, "maxmemory");
  if (limit === 0) return subject.pass(`uses ${bytesText(used)}, without maxmemory`);
  const found = `uses ${bytesText(used)} of ${bytesText(limit)} (${percentText(used / limit)})`;
  const policy = valueIn(primary.info)?.get("maxmemory_policy");
  if (used / limit < nearlyFull || policy !== "noeviction") return subject.pass(found);
  return subject.warn(found, {
    why: "When it is full, the primary refuses writes with OOM.",
    fix: subject.setting("maxmemory", `${Math.ceil((limit * 1.5) / 1_048_576)}mb`),
  });
}

function ofRoom(subject: Subject, primary: InspectedServer, replica: InspectedServer): Finding {
  const used = field(primary, "used_memory");
  const system = field(replica, "total_system_memory");
  if (system > 0 && system < used)
    return subject.fail(
      `its machine has ${bytesText(system)} of memory, and the primary uses ${bytesText(used)}`,
      {
        why: "The replica dies or is refused memory when it copies the data.",
      },
    );
  const limits = [field(primary, "maxmemory"), field(replica, "maxmemory")] as const;
  const [ofTheirs, ofOurs] = limits.map((limit) => (limit === 0 ? Number.POSITIVE_INFINITY : limit));
  if ((ofOurs ?? 0) >= (ofTheirs ?? 0)) return subject.pass("has as much memory as its primary");
  return subject.warn(
    `maxmemory is ${bytesText(limits[1])}, and ${limits[0] === 0 ? "unlimited" : bytesText(limits[0])} on the primary`,
    {
      why: "As soon as it is promoted, it evicts keys or refuses writes.",
      fix: subject.setting("maxmemory", String(limits[0])),
    },
  );
}

export const memoryChecks: readonly Check[] = [eviction, headroom];
