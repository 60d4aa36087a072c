/** The spans of requests and of ioredis's commands, as an app with OpenTelemetry would export them. */

import { tracingChannel } from "node:diagnostics_channel";
import { context, type Span, SpanKind, trace } from "@opentelemetry/api";
import {
  IORedisInstrumentation,
  type IORedisInstrumentationConfig,
} from "@opentelemetry/instrumentation-ioredis";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { Redis } from "ioredis";

export interface SpanRecord {
  readonly name: string;
  readonly attributes: ReadableSpan["attributes"];
  readonly status: ReadableSpan["status"];
}

export interface Spans extends Disposable {
  /** Calls `act` in the span of a request, as the instrumentation of an HTTP server does, and resolves with what it returns. */
  request<Result>(name: string, act: () => Promise<Result>): Promise<Result>;
  /** The spans that have ended and whose parent is the request of that name, in the order of their beginnings. */
  of(request: string): SpanRecord[];
  /** The names of the same spans, without those of commands that were sent again. */
  firstOf(request: string): string[];
  /** The names of the commands that belong to no request. */
  orphans(): string[];
  /** Forgets what has ended so far. */
  clear(): void;
}

export interface TracingOptions {
  readonly sampler?: Sampler;
}

function startTracing(
  { sampler }: TracingOptions,
  begin: (provider: NodeTracerProvider) => () => void,
): Spans {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    ...(sampler && { sampler }),
  });
  provider.register();
  const end = begin(provider);
  const tracer = provider.getTracer("test");
  const all = (): ReadableSpan[] =>
    exporter
      .getFinishedSpans()
      .toSorted((one, other) => nanoseconds(one.startTime) - nanoseconds(other.startTime));
  const of = (request: string): ReadableSpan[] => {
    const parents = all().filter(({ name, kind }) => name === request && kind === SpanKind.SERVER);
    const ids = new Set(parents.map((span) => span.spanContext().spanId));
    return all().filter(({ parentSpanContext }) => ids.has(parentSpanContext?.spanId ?? ""));
  };
  return {
    request: (name, act) =>
      tracer.startActiveSpan(name, { kind: SpanKind.SERVER }, async (span) => {
        try {
          return await act();
        } finally {
          span.end();
        }
      }),
    of,
    firstOf: (request) =>
      of(request)
        .filter(({ attributes }) => attributes["tidemark.resend_count"] === undefined)
        .map(({ name }) => name),
    orphans: () =>
      all()
        .filter(({ parentSpanContext, kind }) => parentSpanContext === undefined && kind !== SpanKind.SERVER)
        .map(({ name }) => name),
    clear: () => exporter.reset(),
    [Symbol.dispose]: () => {
      end();
      trace.disable();
      context.disable();
    },
  };
}

function nanoseconds([seconds, rest]: readonly [number, number]): number {
  return seconds * 1e9 + rest;
}

/** Patches ioredis with OpenTelemetry's own instrumentation until disposed of. */
export function traceByInstrumentation(
  config: IORedisInstrumentationConfig = {},
  options: TracingOptions = {},
): Spans {
  return startTracing(options, (provider) => {
    const instrumentation = new IORedisInstrumentation({ enabled: false, ...config });
    instrumentation.setTracerProvider(provider);
    const [definition] = instrumentation.getModuleDefinitions();
    definition?.patch?.(Redis);
    return () => definition?.unpatch?.(Redis);
  });
}

/** Begins a span for each command that ioredis publishes on `ioredis:command`, until disposed of. */
export function traceByChannel(
  onStart: (span: Span) => void = () => {},
  options: TracingOptions = {},
): Spans {
  return startTracing(options, (provider) => {
    const tracer = provider.getTracer("channel");
    const spans = new WeakMap<object, Span>();
    const end = (message: object): void => {
      spans.get(message)?.end();
      spans.delete(message);
    };
    const seen = {
      start: (message: object) => {
        const { command, serverAddress, serverPort } = message as Record<string, string>;
        const span = tracer.startSpan(String(command), { kind: SpanKind.CLIENT });
        span.setAttributes({ "server.address": String(serverAddress), "server.port": Number(serverPort) });
        onStart(span);
        spans.set(message, span);
      },
      end() {},
      asyncStart() {},
      asyncEnd: end,
      error() {},
    };
    const channel = tracingChannel<unknown, object>("ioredis:command");
    channel.subscribe(seen);
    return () => channel.unsubscribe(seen);
  });
}
