/** Checks of the clocks and of expiry: each server expires keys by its own clock. */
import type { ClockSkew } from "../../../node/clock-skew.js";
import { numberIn } from "../../inspection/info.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { durationText } from "../quantities.js";
import { isOpen, openServers, Subject } from "../subject.js";

const clockSkew: Check = {
  id: "clock-skew",
  group: "Memory and expiry",
  title: "difference between the clocks",
  examine(deployment) {
    const { maxClockSkewMs } = deployment.settings;
    return deployment.primaries.flatMap((primary) => {
      const replicas = deployment.replicasOf(primary).filter(isOpen);
      const { clock: reference } = primary;
      if (replicas.length === 0) return [];
      if (reference.kind !== "value") return [new Subject(this, primary).unanswered(reference, "the clock")];
      return replicas.map((replica) => {
        const subject = new Subject(this, replica);
        return subject.judge(replica.clock, "the clock", (clock) =>
          judgeClock(subject, clock, reference.value, maxClockSkewMs),
        );
      });
    });
  },
};

function judgeClock(subject: Subject, clock: ClockSkew, reference: ClockSkew, limitMs: number): Finding {
  const ahead = clock.aheadOf(reference);
  if (ahead === undefined) return subject.skip("the clock is unknown: the reply to TIME makes no sense");
  const found = `its clock is ${durationText(Math.abs(ahead))} ${ahead < 0 ? "behind" : "ahead of"} the primary's`;
  const remedy = "Synchronize the clocks of both machines with NTP.";
  if (clock.differsFrom(reference, limitMs))
    return subject.fail(`${found}, more than maxClockSkewMs (${durationText(limitMs)})`, {
      why: `It expires keys at other times than the primary, so Tidemark does not read from it. ${remedy}`,
    });
  if (clock.differsFrom(reference, limitMs / 2))
    return subject.warn(`${found}, more than half of maxClockSkewMs (${durationText(limitMs)})`, {
      why: `Keys with a shorter time to live expire too early or too late on this replica. ${remedy}`,
    });
  return subject.pass(found);
}

/** Redis's own estimate. Its expiry cycle works harder above this. */
const maxStalePercent = 10;

const expiryLoad: Check = {
  id: "expired-keys",
  group: "Memory and expiry",
  title: "expired keys that are not deleted yet",
  examine(deployment) {
    return openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.info((info) => {
        const percent = numberIn(info, "expired_stale_perc");
        const capped = numberIn(info, "expired_time_cap_reached_count") ?? 0;
        if (percent === undefined) return subject.skip("INFO has no expired_stale_perc");
        const found = `about ${percent} % of the keys with a time to live have expired but are not deleted yet`;
        if (percent <= maxStalePercent) return subject.pass(found);
        return subject.warn(`${found}. Deleting them ran out of time ${capped} times since the start`, {
          why: "They use memory on every server until the primary deletes them. Spread the times to live, or raise active-expire-effort.",
        });
      });
    });
  },
};

export const clockChecks: readonly Check[] = [clockSkew, expiryLoad];
