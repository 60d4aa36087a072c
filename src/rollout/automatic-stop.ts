/** Ends a rollout by itself when the app's rule says so. */
import {
  type GroupOutcomes,
  OutcomeWindow,
  type ReadSides,
  type RecentOutcomes,
} from "../diagnostics/recent-outcomes.js";
import type { Rollout } from "./rollout.js";

/** Returns true, or the reason as a text, if the rollout has to stop. */
export type StopRule = (recent: RecentOutcomes) => boolean | string | undefined;

const partMs = 5_000;
const parts = 12;

export class AutomaticStop {
  readonly #rollout: Rollout;
  readonly #rule: StopRule;
  readonly #outcomes: OutcomeWindow;
  #timer: NodeJS.Timeout | undefined;
  /** How often the rule has stopped the rollout. */
  count = 0;

  /** `sides` returns which servers have answered the reads of live sessions so far. */
  constructor(rollout: Rollout, rule: StopRule, sides: () => ReadSides) {
    this.#rollout = rollout;
    this.#rule = rule;
    this.#outcomes = new OutcomeWindow(parts, sides);
    rollout.onChange(() => this.#outcomes.clear());
  }

  open(): void {
    this.#timer ??= setInterval(() => this.#look(), partMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Counts a command that has ended. */
  ended(isLive: boolean, ms: number, isError: boolean): void {
    this.#outcomes.ended(isLive, ms, isError);
  }

  get recent(): RecentOutcomes {
    return this.#outcomes.now;
  }

  #look(): void {
    if (this.#rollout.mode !== "live") return;
    const recent = this.#outcomes.now;
    const cause = this.#causeIn(recent);
    this.#outcomes.turn();
    if (cause === undefined) return;
    this.count += 1;
    this.#rollout.setMode("off", cause);
    process.emitWarning(
      `Tidemark has stopped its rollout, and every command goes to the primary: ${cause}.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_ROLLOUT_STOPPED",
        detail: `${textOf(recent)} When the cause is gone, set tidemark.mode to "live".`,
      },
    );
  }

  #causeIn(recent: RecentOutcomes): string | undefined {
    try {
      const verdict = this.#rule(recent);
      if (typeof verdict === "string" && verdict !== "") return verdict;
      return verdict === true ? "the rule stopWhen returned true" : undefined;
    } catch (error) {
      // A rule that cannot judge protects nobody.
      return `the rule stopWhen threw an error (${error instanceof Error ? error.message : String(error)})`;
    }
  }
}

function textOf({ live, others }: RecentOutcomes): string {
  const sentences = [sentenceOf(live, "users in the rollout"), sentenceOf(others, "other users")];
  if (!Number.isNaN(live.primaryShare))
    sentences.push(
      `The primary answered ${percentOf(live.primaryShare)} of the reads of users in the rollout.`,
    );
  return `In the last minute: ${sentences.filter((sentence) => sentence !== "").join(" ")}`;
}

function sentenceOf({ commands, errorRate, p99Ms }: GroupOutcomes, who: string): string {
  if (commands === 0) return "";
  return `${commands} commands of ${who}, 99 % of them within ${p99Ms.toFixed(1)} ms, ${percentOf(errorRate)} failed.`;
}

function percentOf(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
