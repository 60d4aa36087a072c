/** One round of the doctor: it looks at the servers, samples the lag, opens a Tidemark and examines all that. */
import { type Deployment, type InspectionTarget, inspect } from "../inspection/deployment.js";
import { sampleLag } from "../inspection/lag.js";
import type { Settings } from "../inspection/settings.js";
import { examine } from "./doctor.js";
import type { Finding } from "./finding.js";
import { type OpensTidemark, observeTidemark } from "./observed-tidemark.js";

export interface RoundOptions {
  readonly target: InspectionTarget;
  readonly settings: Settings;
  readonly seconds: number;
  readonly writesCanary: boolean;
  readonly opens: OpensTidemark;
  /** Ends the round early. What is known by then is examined. */
  readonly signal: AbortSignal;
  readonly onProgress?: (label: string, share: number) => void;
}

export interface Round {
  readonly deployment: Deployment;
  readonly findings: readonly Finding[];
}

/** Every connection is closed when it resolves. */
export async function runRound(options: RoundOptions): Promise<Round> {
  const { target, settings, seconds, writesCanary, opens, signal, onProgress } = options;
  onProgress?.("Looking at the servers", 0);
  const deployment = await inspect(target, { settings, signal });
  try {
    const sampling = { seconds, writesCanary, signal };
    if (!signal.aborted)
      await sampleLag(deployment, {
        ...sampling,
        onProgress: (share) => onProgress?.("Sampling the lag", share),
      });
    if (!signal.aborted) await observeTidemark(deployment, opens);
    return { deployment, findings: examine(deployment) };
  } finally {
    deployment.close();
  }
}
