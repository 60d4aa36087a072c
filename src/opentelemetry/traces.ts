/** Adds to the spans of commands where Tidemark sent them and why, and recognizes the commands that Tidemark sends by itself. */
import { commandBeingSent } from "../commands/command-tracing.js";

/** What Tidemark knows of a command when ioredis sends it, as attributes of a span. */
export interface CommandAttributes {
  /** The role of the server that the command is sent to. */
  readonly "tidemark.role": "primary" | "replica";
  /** Why the command is sent to this server: a `Reason`. */
  readonly "tidemark.reason": string;
  /** The level of the command. `"bounded"` stands for all levels with `maxStalenessMs`. */
  readonly "tidemark.level": string;
  /** How long the command was kept before it was sent to this server, in milliseconds. Missing if it was sent at once. */
  readonly "tidemark.waited_ms"?: number;
  /** The estimated lag of the replica, in milliseconds. Missing for the primary, and if nothing is proven. */
  readonly "tidemark.lag_ms"?: number;
  /** How often the command was sent before. Missing the first time. */
  readonly "tidemark.resend_count"?: number;
}

/** The part of OpenTelemetry's `Span` that Tidemark uses. */
export interface AttributeSpan {
  setAttributes(attributes: { readonly [name: string]: string | number }): unknown;
}

/** The part of OpenTelemetry's `Sampler` that Tidemark uses. */
export interface SpanSampler<Args extends unknown[], Result> {
  shouldSample(...args: Args): Result;
  toString(): string;
}

/** A command that is sent sooner than this counts as sent at once, in milliseconds. */
const atOnceMs = 1;

/** Two digits after the point show more than clocks can tell. */
const perMs = 100;

/** `SamplingDecision.NOT_RECORD` of OpenTelemetry. */
const notRecorded = 0;

/**
 * The attributes of the command that ioredis is sending. Call it synchronously while ioredis sends the command: in a hook of an
 * instrumentation, or in a subscriber to the start of `ioredis:command`. Undefined for a command that was not given to a client of
 * a `Tidemark`, and for one that Tidemark sends by itself.
 */
export function commandAttributes(): CommandAttributes | undefined {
  const command = commandBeingSent();
  const route = command?.route;
  if (!command || route === undefined) return undefined;
  const { role, reason, level, lagMs } = route;
  const { waitedMs, resends } = command;
  return {
    "tidemark.role": role,
    "tidemark.reason": reason,
    "tidemark.level": level,
    ...(waitedMs < atOnceMs ? {} : { "tidemark.waited_ms": rounded(waitedMs) }),
    ...(lagMs === undefined ? {} : { "tidemark.lag_ms": rounded(lagMs) }),
    ...(resends === 0 ? {} : { "tidemark.resend_count": resends }),
  };
}

/**
 * Adds {@link commandAttributes} to the span of a command. Pass it as `requestHook` to `IORedisInstrumentation` of
 * `@opentelemetry/instrumentation-ioredis`, or call it in a hook of your own.
 */
export function requestHook(span: AttributeSpan): void {
  const attributes = commandAttributes();
  if (attributes !== undefined) span.setAttributes({ ...attributes });
}

/**
 * Whether ioredis is sending a command that Tidemark or ioredis sends by itself, such as INFO or HELLO, on a connection of a
 * `Tidemark`. Call it like {@link commandAttributes}.
 */
export function isOwnCommand(): boolean {
  return commandBeingSent() === null;
}

/**
 * Returns a sampler that drops the spans of the commands that Tidemark sends by itself, and otherwise asks `sampler`. You need it
 * only if your instrumentation begins spans outside of requests, for example with `requireParentSpan: false`.
 */
export function withoutOwnCommands<Args extends unknown[], Result>(
  sampler: SpanSampler<Args, Result>,
): SpanSampler<Args, Result | { decision: 0 }> {
  return {
    shouldSample: (...args) => (isOwnCommand() ? { decision: notRecorded } : sampler.shouldSample(...args)),
    toString: () => `WithoutOwnCommands{${sampler}}`,
  };
}

function rounded(ms: number): number {
  return Math.round(ms * perMs) / perMs;
}
