/** Decides which sessions Tidemark routes: by the mode, which can change at run time, and by the share of the users. */
import { type Mode, modeChannel } from "../diagnostics/channels.js";
import { InvalidOptionError } from "../errors/errors.js";
import { Bucket, buckets, type Membership } from "./membership.js";

const modes: readonly Mode[] = ["off", "shadow", "live"];

export class Rollout {
  readonly #tidemark: object;
  #mode: Mode;
  #share: number;
  readonly #listeners: (() => void)[] = [];
  /** When the mode or the share last changed, on the monotonic clock. */
  #changedAt = Number.NEGATIVE_INFINITY;
  /** Whether replicas may answer the reads of every session. Most sessions ask for nothing else. */
  isForAll = false;

  constructor(tidemark: object, mode: Mode, share: number) {
    this.#tidemark = tidemark;
    this.#mode = mode;
    this.#share = share;
    this.#update();
  }

  /** Calls `listener` after each change of the mode or the share. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** The share of the users whose reads replicas may answer in the mode `"live"`, from 0 to 1. */
  get share(): number {
    return this.#share;
  }

  /** Throws an `InvalidOptionError` if `mode` is not a mode. `cause` is why Tidemark itself changes the mode. */
  setMode(mode: Mode, cause?: string): void {
    const before = this.#mode;
    this.#mode = checkMode(mode);
    this.#changed(before, this.#share, cause);
  }

  /** Throws an `InvalidOptionError` if `share` is not a number from 0 to 1. */
  setShare(share: number): void {
    const before = this.#share;
    this.#share = checkShare(share);
    this.#changed(this.#mode, before, undefined);
  }

  /** Whether the mode or the share has changed within the last `ms` milliseconds. */
  hasChangedWithin(ms: number): boolean {
    return performance.now() - this.#changedAt <= ms;
  }

  /** Whether it depends on the user whether replicas may answer. */
  get isPartial(): boolean {
    return this.#mode === "live" && this.#share < 1;
  }

  /** Whether a partial rollout has reached a user with this membership. */
  includes(membership: Membership): boolean {
    if (membership instanceof Bucket) return membership.index < this.#share * buckets;
    return membership === true;
  }

  #update(): void {
    this.isForAll = this.#mode === "live" && this.#share === 1;
  }

  #changed(mode: Mode, share: number, cause: string | undefined): void {
    this.#update();
    if (mode === this.#mode && share === this.#share) return;
    this.#changedAt = performance.now();
    for (const listener of this.#listeners) listener();
    if (!modeChannel.hasSubscribers) return;
    modeChannel.publish({
      tidemark: this.#tidemark,
      mode: this.#mode,
      rollout: this.#share,
      before: { mode, rollout: share },
      cause,
    });
  }
}

export function checkMode(mode: unknown): Mode {
  const known = modes.find((one) => one === mode);
  if (known !== undefined) return known;
  throw new InvalidOptionError("mode", mode, 'Pass "off", "shadow" or "live"');
}

export function checkShare(share: unknown): number {
  if (typeof share === "number" && share >= 0 && share <= 1) return share;
  throw new InvalidOptionError("rollout", share, "Pass a share of the users from 0 to 1, like 0.05 for 5 %");
}
