/** Writes the findings of one check about one server. */
import type { Answer, NoAnswer } from "../inspection/answer.js";
import { valueIn } from "../inspection/answer.js";
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

  constructor(check: Pick<Check, "id" | "group">, server?: InspectedServer) {
    this.#check = check;
    this.server = server;
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

  /** The finding of `judge` about the value. Without a value it is {@link unanswered}. */
  judge<Value>(answer: Answer<Value>, what: string, judge: (value: Value) => Finding): Finding {
    return answer.kind === "value" ? judge(answer.value) : this.unanswered(answer, what);
  }

  #finding(verdict: Verdict, found: string, advice?: Advice): Finding {
    const { id: check, group } = this.#check;
    const server = this.server && { server: this.server.address };
    return { check, group, ...server, verdict, found, ...advice };
  }
}

/** Whether the server let the doctor in. Checks say nothing of others: the check `reachable` does. */
export function isOpen(server: InspectedServer): boolean {
  return server.connection.kind === "value";
}
