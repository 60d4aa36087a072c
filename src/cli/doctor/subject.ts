/** Writes the findings of one check about one server. */
import { type Answer, type NoAnswer, notAsked, valueIn } from "../inspection/answer.js";
import type { Deployment } from "../inspection/deployment.js";
import type { InfoFields } from "../inspection/info.js";
import type { ConfigName } from "../inspection/questions.js";
import type { InspectedServer } from "../inspection/server.js";
import type { Check } from "./check.js";
import type { Finding, Verdict } from "./finding.js";
import { redisCli } from "./redis-cli.js";

/** Why a finding matters, and the line that corrects it. */
export interface Advice {
  readonly why: string;
  readonly fix?: string;
}

/** What a check is about: a server, or all of them if there is none. */
export class Subject {
  readonly #check: Pick<Check, "id" | "group">;
  readonly server: InspectedServer | undefined;
  readonly #address: string | undefined;

  /** `address` names a server that the doctor itself has not looked at. */
  constructor(check: Pick<Check, "id" | "group">, server?: InspectedServer, address = server?.address) {
    this.#check = check;
    this.server = server;
    this.#address = address;
  }

  pass(found: string): Finding {
    return this.#finding("pass", found);
  }

  warn(found: string, advice: Advice): Finding {
    return this.#finding("warn", found, advice);
  }

  fail(found: string, advice: Advice): Finding {
    return this.#finding("fail", found, advice);
  }

  skip(found: string, advice?: Advice): Finding {
    return this.#finding("skip", found, advice);
  }

  /** The finding for a question without a value. `what` names the thing asked for: "INFO", "repl-timeout". */
  unanswered(answer: NoAnswer, what: string): Finding {
    if (answer.kind !== "hidden") {
      const why =
        answer.kind === "absent"
          ? `the server does not know the question (${answer.message})`
          : answer.message;
      return this.skip(`${what} is unknown: ${why}`);
    }
    const user = this.server && valueIn(this.server.answer("user"));
    const rule = `ACL SETUSER ${typeof user === "string" ? user : "<user>"} '${answer.rule}'`;
    return this.#finding("hidden", `this user may not see ${what}`, {
      why: `The rule ${answer.rule} is missing in the user's ACL.`,
      fix: this.server === undefined ? rule : redisCli(this.server, rule),
    });
  }

  /** The finding of `judge` about a setting of the server. */
  config(name: ConfigName, judge: (value: string) => Finding): Finding {
    return this.judge(this.server?.config(name) ?? notAsked, name, judge);
  }

  /** The finding of `judge` about the server's INFO. */
  info(judge: (info: InfoFields) => Finding): Finding {
    return this.judge(this.server?.info ?? notAsked, "INFO", judge);
  }

  /** The line that changes a setting until the server restarts. */
  setting(name: string, value: string): string {
    const line = `CONFIG SET ${name} ${value}`;
    return this.server === undefined ? line : redisCli(this.server, line);
  }

  /** The finding of `judge` about the value. Without a value it is {@link unanswered}. */
  judge<Value>(answer: Answer<Value>, what: string, judge: (value: Value) => Finding): Finding {
    return answer.kind === "value" ? judge(answer.value) : this.unanswered(answer, what);
  }

  #finding(verdict: Verdict, found: string, advice?: Advice): Finding {
    const { id: check, group } = this.#check;
    const server = this.#address === undefined ? {} : { server: this.#address };
    return { check, group, ...server, verdict, found, ...advice };
  }
}

/** Whether the server let the doctor in. Checks say nothing of others: the check `reachable` does. */
export function isOpen(server: InspectedServer): boolean {
  return server.connection.kind === "value";
}

/** The primaries, or the replicas, that let the doctor in. */
export function openServers(
  { servers }: Pick<Deployment, "servers">,
  role?: "primary" | "replica",
): readonly InspectedServer[] {
  return servers.filter((server) => isOpen(server) && (role === undefined || server.role === role));
}
