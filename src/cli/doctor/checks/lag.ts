/** Checks of the lag that was sampled. */
import { quantile, shareWithin } from "../../inspection/distribution.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { bytesText, durationText, percentText } from "../quantities.js";
import { Subject } from "../subject.js";

const idle = "the primary wrote nothing while the doctor looked. Try --write-canary, or a longer --seconds";
/** Replicas that take fewer of the reads a second after a write are of little use. */
const usefulShare = 0.5;
const usefulAfterMs = 1_000;

const lag: Check = {
  id: "lag",
  group: "Lag",
  title: "lag of each replica",
  examine({ lag: sampled, servers, settings }) {
    if (sampled === undefined) return [new Subject(this).skip("it was not sampled")];
    if (sampled.length === 0) return [new Subject(this).skip("there is no replica to sample")];
    return sampled.map(({ replica, ms, bytes, unknown }): Finding => {
      const subject = new Subject(
        this,
        servers.find((server) => server.isAt(replica)),
      );
      if (ms.length === 0 && unknown > 0)
        return subject.skip(`its position could not be compared with the primary's (${unknown} times)`);
      if (ms.length === 0) return subject.skip(idle);
      const of = (q: number): string => durationText(quantile(ms, q));
      const found = `caught up within ${of(0.5)} (p50), ${of(0.99)} (p99), ${of(1)} (max). Behind by ${bytesText(quantile(bytes, 0.99))} (p99)`;
      const { maxStalenessMs } = settings;
      if (quantile(ms, 0.5) > Math.min(maxStalenessMs, 5_000))
        return subject.fail(found, {
          why: `Most of the time it is further behind than maxStalenessMs (${durationText(maxStalenessMs)}) or than 5 s, so it answers hardly any read. Look at its load and its network.`,
        });
      if (quantile(ms, 0.99) > maxStalenessMs / 2)
        return subject.warn(found, {
          why: `maxStalenessMs is ${durationText(maxStalenessMs)}. A replica that comes near it drops out from time to time.`,
        });
      return subject.pass(found);
    });
  },
};

const share: Check = {
  id: "replica-share",
  group: "Lag",
  title: "reads that replicas can take after a write",
  examine({ activity = [], servers, settings }) {
    return activity.map(({ primary, fastestMs }): Finding => {
      const subject = new Subject(
        this,
        servers.find((server) => server.isAt(primary)),
      );
      if (fastestMs.length === 0) return subject.skip(idle);
      const shares = settings.thinkMs.map(
        (think) => `${percentText(shareWithin(fastestMs, think))} after ${durationText(think)}`,
      );
      const found = `of the reads that follow a write, replicas can take ${shares.join(", ")}`;
      if (shareWithin(fastestMs, usefulAfterMs) >= usefulShare) return subject.pass(found);
      return subject.warn(found, {
        why: "The primary answers the others. Replicas relieve it only of users who have not written.",
      });
    });
  },
};

export const lagChecks: readonly Check[] = [lag, share];
