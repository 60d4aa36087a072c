/** Checks of the Sentinels: do they watch the same primary, and can they promote a replica? */
import { addressOf, type Endpoint, endpointOf } from "../../../address.js";
import { type Answer, converted, valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import { numberIn, parseFlatList } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { doctorLine } from "../lines.js";
import { countText, durationText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { isOpen, openServers, Subject } from "../subject.js";

type Fields = ReadonlyMap<string, unknown>;

/** The Sentinels that could be asked. */
function openSentinels({ sentinels }: Deployment): readonly InspectedServer[] {
  return sentinels.filter(isOpen);
}

/** What a Sentinel says of the primary. */
function primaryOf(sentinel: InspectedServer): Answer<Fields> {
  return converted(sentinel.answer("sentinelPrimary"), parseFlatList);
}

/** The Sentinels that watch the primary, and what they say of it. */
function watching(deployment: Deployment): readonly { sentinel: InspectedServer; fields: Fields }[] {
  return openSentinels(deployment).flatMap((sentinel) => {
    const fields = valueIn(primaryOf(sentinel));
    return fields === undefined ? [] : [{ sentinel, fields }];
  });
}

function listIn(reply: unknown): readonly Fields[] {
  return Array.isArray(reply) ? reply.flatMap((one) => parseFlatList(one) ?? []) : [];
}

function placeIn(fields: Fields): Endpoint | undefined {
  return endpointOf(fields.get("ip"), fields.get("port"));
}

const mode: Check = {
  id: "sentinel-mode",
  group: "Sentinel",
  title: "Sentinels, given as such",
  examine(deployment) {
    return openServers(deployment).flatMap((server) => {
      if (!isSentinel(server)) return [];
      return [
        new Subject(this, server).fail("it is a Sentinel, but was given as a server", {
          why: "A Sentinel has no data. Give it in your app as sentinels: [ … ] with the name of the primary, and here with --sentinel.",
          fix: doctorLine([server], "--sentinel", "<name>"),
        }),
      ];
    });
  },
};

const name: Check = {
  id: "sentinel-name",
  group: "Sentinel",
  title: "the name of the primary",
  examine(deployment) {
    const { name: wanted = "" } = deployment.target;
    return openSentinels(deployment).map((sentinel) => {
      const subject = new Subject(this, sentinel);
      const answer = primaryOf(sentinel);
      if (sentinel.answer("role").kind === "value" && !isSentinel(sentinel))
        return subject.fail("it is no Sentinel, but a Redis server", {
          why: "Tidemark asks the Sentinels for the primary. Give the port of the Sentinel, which is usually 26379.",
        });
      if (answer.kind === "failed" && /no such master/i.test(answer.message)) {
        const others = listIn(valueIn(sentinel.answer("sentinelPrimaries"))).map(
          (fields) => `"${fields.get("name")}"`,
        );
        const known = others.length === 0 ? "nothing" : others.join(", ");
        return subject.fail(`it does not know the name "${wanted}". It watches ${known}`, {
          why: "A Sentinel that watches another name cannot say where the primary is, and does not vote.",
          ...monitorLine(sentinel, deployment),
        });
      }
      return subject.judge(answer, "SENTINEL MASTER", () => subject.pass(`it watches "${wanted}"`));
    });
  },
};

function isSentinel(sentinel: InspectedServer): boolean {
  const reply = valueIn(sentinel.answer("role"));
  return Array.isArray(reply) && reply[0] === "sentinel";
}

/** The line with which `sentinel` watches what the other Sentinels watch. */
function monitorLine(sentinel: InspectedServer, deployment: Deployment): { readonly fix?: string } {
  const [other] = watching(deployment);
  const at = other && placeIn(other.fields);
  const quorum = other && numberIn(other.fields, "quorum");
  if (at === undefined || quorum === undefined) return {};
  const line = `SENTINEL MONITOR ${deployment.target.name} ${at.host} ${at.port} ${quorum}`;
  return { fix: redisCli(sentinel, line) };
}

const fewest = 3;

const number: Check = {
  id: "sentinel-count",
  group: "Sentinel",
  title: "number of Sentinels",
  examine(deployment) {
    if (deployment.target.kind !== "sentinel") return [];
    const subject = new Subject(this);
    const watchers = watching(deployment);
    const others = watchers.map(({ fields }) => numberIn(fields, "num-other-sentinels") ?? 0);
    const known = Math.max(0, ...others.map((number) => number + 1));
    const found = `${countText(watchers.length, "Sentinel")} of ${known} can be reached from here`;
    if (watchers.length === 0)
      return [
        subject.fail("no Sentinel that watches the primary can be reached", {
          why: "Tidemark learns only from the Sentinels where the primary is.",
        }),
      ];
    if (watchers.length * 2 <= known)
      return [
        subject.fail(found, {
          why: "Tidemark decides when more than half of the Sentinels have answered.",
        }),
      ];
    if (known < fewest)
      return [
        subject.warn(`there ${known === 1 ? "is" : "are"} only ${countText(known, "Sentinel")}`, {
          why: "A replica is promoted only with the votes of more than half of the Sentinels. With fewer than three, none of them may fail.",
        }),
      ];
    if (watchers.length < known)
      return [subject.warn(found, { why: "Fewer further Sentinels may fail before nobody is promoted." })];
    return [subject.pass(found)];
  },
};

const quorum: Check = {
  id: "sentinel-quorum",
  group: "Sentinel",
  title: "quorum for a failover",
  examine(deployment) {
    const watchers = watching(deployment);
    const quorums = new Set(watchers.map(({ fields }) => fields.get("quorum")));
    return watchers.map(({ sentinel, fields }) => {
      const subject = new Subject(this, sentinel);
      const answer = sentinel.answer("sentinelQuorum");
      const needed = numberIn(fields, "quorum");
      const all = (numberIn(fields, "num-other-sentinels") ?? 0) + 1;
      const most = Math.floor(all / 2) + 1;
      const set = redisCli(sentinel, `SENTINEL SET ${deployment.target.name} quorum ${most}`);
      if (needed !== undefined && needed > all)
        return subject.fail(`the quorum is ${needed}, but there are only ${countText(all, "Sentinel")}`, {
          why: "The Sentinels never agree that the primary is down, so no replica is ever promoted.",
          fix: set,
        });
      if (answer.kind === "failed" && answer.message.startsWith("NOQUORUM"))
        return subject.fail(answer.message, {
          why: "The Sentinels that can be reached are too few to promote a replica. Bring the others back.",
        });
      if (quorums.size > 1)
        return subject.warn(`the quorum is ${needed}, and another Sentinel has another quorum`, {
          why: "How many Sentinels have to agree then depends on which of them leads the failover.",
          fix: set,
        });
      return subject.judge(answer, "SENTINEL CKQUORUM", () =>
        subject.pass(`${needed} of ${all} have to agree, and enough can be reached`),
      );
    });
  },
};

const agreement: Check = {
  id: "sentinel-agreement",
  group: "Sentinel",
  title: "which server is the primary",
  examine(deployment) {
    const watchers = watching(deployment);
    const said = watchers.map(({ sentinel, fields }) => ({ sentinel, at: placeIn(fields), fields }));
    const addresses = new Set(said.map(({ at }) => (at === undefined ? "nothing" : addressOf(at))));
    const subject = new Subject(this);
    if (said.length === 0) return [];
    if (addresses.size > 1) {
      const opinions = said.map(
        ({ sentinel, at }) => `${sentinel.address} names ${at === undefined ? "none" : addressOf(at)}`,
      );
      return [
        subject.fail(`the Sentinels name different primaries: ${opinions.join(", ")}`, {
          why: "Tidemark believes the Sentinel with the greater configuration epoch. During a failover this ends by itself. Otherwise one Sentinel is cut off, or watches another deployment.",
        }),
      ];
    }
    const [address = ""] = addresses;
    const flags = said.flatMap(({ fields }) => String(fields.get("flags") ?? "").split(","));
    const server = deployment.servers.find((one) => one.isAt(address));
    if (flags.includes("s_down") || flags.includes("o_down"))
      return [downFinding(subject, { address, flags, server }, deployment)];
    if (server?.role === "replica")
      return [
        new Subject(this, server).fail(
          "the Sentinels name it as the primary, but it says that it is a replica",
          {
            why: "Tidemark sends no writes to a server that says it is a replica.",
          },
        ),
      ];
    return [subject.pass(`all name ${address}`)];
  },
};

/** The finding for a primary that the Sentinels take for dead. */
function downFinding(
  subject: Subject,
  {
    address,
    flags,
    server,
  }: { address: string; flags: readonly string[]; server: InspectedServer | undefined },
  deployment: Deployment,
): Finding {
  const found = `the Sentinels name ${address}, and say that it is down (${[...new Set(flags)].join(", ")})`;
  if (server === undefined || server.connection.kind !== "value")
    return subject.fail(found, { why: "There is no primary until a replica is promoted." });
  const [sentinel] = openSentinels(deployment);
  const line = `SENTINEL SET ${deployment.target.name} auth-pass <password>`;
  const isLocked = Boolean(server.options.password) && !server.ignoresPassword;
  return subject.fail(`${found}, but it answers from here`, {
    why: `The Sentinels cannot reach it${isLocked ? ", or cannot log in: each of them needs the password (auth-pass)" : ""}. So they promote nobody in time, or the wrong server.`,
    ...(isLocked && sentinel !== undefined ? { fix: redisCli(sentinel, line) } : {}),
  });
}

/** Whether the server at `address` is one of those at `others`. Sentinels may call a server by a name, and the primary by an IP. */
function isAmong({ servers }: Deployment, address: string, others: readonly string[]): boolean {
  const server = servers.find((one) => one.isAt(address));
  return others.some((other) => other === address || server?.isAt(other));
}

const replicas: Check = {
  id: "sentinel-replicas",
  group: "Sentinel",
  title: "the replicas that the Sentinels know",
  examine(deployment) {
    return watching(deployment).map(({ sentinel, fields }) => {
      const subject = new Subject(this, sentinel);
      const at = placeIn(fields);
      const primary = at && deployment.servers.find((one) => one.isAt(addressOf(at)));
      return subject.judge(sentinel.answer("sentinelReplicas"), "SENTINEL REPLICAS", (reply) => {
        const listed = listIn(reply);
        const addresses = listed.flatMap((one) => placeIn(one) ?? []).map(addressOf);
        const dead = listed.filter((one) => /s_down|disconnected/.test(String(one.get("flags"))));
        const reset = redisCli(sentinel, `SENTINEL RESET ${deployment.target.name}`);
        if (dead.length > 0)
          return subject.warn(
            `it lists a replica that is down: ${dead.map((one) => one.get("name")).join(", ")}`,
            {
              why: "Tidemark tries to connect to it again and again. If it is gone for good, remove it from the list of each Sentinel, one after the other.",
              fix: reset,
            },
          );
        if (primary === undefined || primary.info.kind !== "value")
          return subject.skip(
            `it lists ${countText(addresses.length, "replica")}. The primary cannot be asked for its own list`,
          );
        const connected = primary.announced.map(addressOf);
        const missing = connected.filter((address) => !isAmong(deployment, address, addresses));
        const extra = addresses.filter((address) => !isAmong(deployment, address, connected));
        if (missing.length > 0)
          return subject.warn(`it does not list ${missing.join(", ")}, which the primary does`, {
            why: "With Sentinels, Tidemark reads only from replicas that they list. A new replica is listed after ten seconds. One with replica-announced no never is.",
          });
        if (extra.length > 0)
          return subject.warn(`it lists ${extra.join(", ")}, which is not connected to the primary`, {
            why: "This replica gets no writes. Look at its log, or remove it from the list of each Sentinel.",
            fix: reset,
          });
        return subject.pass(`it lists the ${countText(addresses.length, "replica")} of the primary`);
      });
    });
  },
};

const timing: Check = {
  id: "sentinel-timing",
  group: "Sentinel",
  title: "time until a failover",
  examine(deployment) {
    const { maxStalenessMs } = deployment.settings;
    return watching(deployment).map(({ sentinel, fields }) => {
      const subject = new Subject(this, sentinel);
      const after = numberIn(fields, "down-after-milliseconds");
      const at = placeIn(fields);
      const primary = at && deployment.servers.find((one) => one.isAt(addressOf(at)));
      const seconds = primary && Number(valueIn(primary.config("repl-timeout")));
      if (after === undefined) return subject.skip("SENTINEL MASTER has no down-after-milliseconds");
      const found = `down-after-milliseconds is ${after}`;
      const set = (ms: number): string =>
        redisCli(sentinel, `SENTINEL SET ${deployment.target.name} down-after-milliseconds ${ms}`);
      if (seconds !== undefined && seconds > 0 && after >= seconds * 1_000)
        return subject.warn(`${found}, which is not below the primary's repl-timeout of ${seconds} s`, {
          why: "Replicas give up the link to a dead primary before the Sentinels look for another.",
          fix: set(Math.min(30_000, seconds * 500)),
        });
      if (after > 30_000)
        return subject.warn(`${found}: for ${durationText(after)} after the primary is lost, writes fail`, {
          why: `Reads from replicas end ${durationText(maxStalenessMs)} after the primary is lost (maxStalenessMs).`,
          fix: set(10_000),
        });
      return subject.pass(found);
    });
  },
};

export const sentinelChecks: readonly Check[] = [mode, name, number, quorum, agreement, replicas, timing];
