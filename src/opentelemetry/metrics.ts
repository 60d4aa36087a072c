/** Registers the metrics of a Tidemark on a `Meter` of OpenTelemetry. */
import { type RouteMessage, routeChannel } from "../diagnostics/channels.js";
import { type Histogram, histogramOf, type OnValue } from "../diagnostics/counts.js";
import {
  type HistogramMetric,
  type Labels,
  type Measured,
  type Metric,
  metrics,
  type NumberMetric,
  type ShownLimits,
  type ShownNode,
} from "../diagnostics/metrics.js";
import type { TidemarkStats } from "../diagnostics/statistics.js";
import { refuseUnknown } from "../errors/option-names.js";

/** What metrics are read from: a `Tidemark`. */
export interface MetricsSource {
  stats(): TidemarkStats;
  topology(): readonly ShownNode[];
  readonly mode: Measured["mode"];
  readonly rollout: number;
  readonly limits: ShownLimits;
}

/** Attributes of OpenTelemetry, as far as Tidemark uses them. */
export interface MetricAttributes {
  readonly [name: string]: string | number;
}

/** An instrument of OpenTelemetry whose value is read at each collection. */
export type ObservableInstrument = object;

/** The part of OpenTelemetry's `Histogram` that Tidemark uses. */
export interface HistogramInstrument {
  record(value: number, attributes?: MetricAttributes): void;
}

/** The part of OpenTelemetry's `BatchObservableResult` that Tidemark uses. */
export interface BatchObservations {
  observe(instrument: ObservableInstrument, value: number, attributes?: MetricAttributes): void;
}

/** How an instrument is described. */
export interface InstrumentOptions {
  readonly description: string;
  readonly unit?: string;
  readonly advice?: { readonly explicitBucketBoundaries?: number[] };
}

/** The part of OpenTelemetry's `Meter` that Tidemark uses. */
export interface MetricsMeter {
  createObservableCounter(name: string, options: InstrumentOptions): ObservableInstrument;
  createObservableGauge(name: string, options: InstrumentOptions): ObservableInstrument;
  createHistogram(name: string, options: InstrumentOptions): HistogramInstrument;
  addBatchObservableCallback(
    callback: (result: BatchObservations) => void,
    instruments: ObservableInstrument[],
  ): void;
  removeBatchObservableCallback(
    callback: (result: BatchObservations) => void,
    instruments: ObservableInstrument[],
  ): void;
}

/** What `registerMetrics` adds to the metrics. */
export interface MetricsOptions {
  /** Attributes of all values, for example to tell several Tidemarks of a process apart. */
  readonly attributes?: MetricAttributes;
  /**
   * Whether `db.client.operation.duration` is measured as well. Tidemark then records each command, which takes more time than all
   * other metrics. Default false.
   */
  readonly operationDuration?: boolean;
}

const operationDuration = {
  name: "db.client.operation.duration",
  description: "Duration of database client operations.",
  unit: "s",
  /** The boundaries that the semantic conventions name, in seconds. */
  boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
} as const;

const perSecond = 1_000;

/** The label of a metric that names a server. */
const nodeLabel = "node";

/**
 * Registers the metrics of `tidemark` on `meter`, and returns a function that unregisters them. The metrics are read together once
 * for each collection. Histograms count from the registration on, all others since `tidemark` was made. The meter does not keep
 * `tidemark` alive. If you register a Tidemark twice on the same meter, its values count once, until both are unregistered. Then the
 * options of the first call apply. Throws an `InvalidOptionError` if an option is unknown.
 */
export function registerMetrics(
  tidemark: MetricsSource,
  meter: MetricsMeter,
  options: MetricsOptions = {},
): () => void {
  refuseUnknown("registerMetrics", options, ["attributes", "operationDuration"]);
  let meterMetrics = allMeters.get(meter);
  if (meterMetrics === undefined) {
    meterMetrics = new MeterMetrics(meter);
    allMeters.set(meter, meterMetrics);
  }
  return meterMetrics.register(tidemark, options);
}

/** The metrics of all Tidemarks on one meter. */
class MeterMetrics {
  readonly #meter: MetricsMeter;
  readonly #numbers = new Map<NumberMetric, ObservableInstrument>();
  readonly #histograms = new Map<HistogramMetric, HistogramInstrument>();
  #durations: HistogramInstrument | undefined;
  readonly #sources = new Set<Source>();
  /** The latest value of each gauge for each set of attributes. */
  readonly #shown = new Map<NumberMetric, Map<string, Observation>>();
  readonly #collect = (result: BatchObservations): void => this.#observe(result);

  constructor(meter: MetricsMeter) {
    this.#meter = meter;
    for (const metric of metrics) {
      const options = { description: metric.help, ...unitOf(metric) };
      if (metric.kind === "counter")
        this.#numbers.set(metric, meter.createObservableCounter(metric.name, options));
      else if (metric.kind === "gauge")
        this.#numbers.set(metric, meter.createObservableGauge(metric.name, options));
    }
  }

  register(tidemark: MetricsSource, options: MetricsOptions): () => void {
    const source = this.#sourceOf(tidemark) ?? this.#add(tidemark, options);
    source.registrations += 1;
    return this.#registration(source);
  }

  #sourceOf(tidemark: MetricsSource): Source | undefined {
    return [...this.#sources].find((source) => source.isOf(tidemark));
  }

  /** The function that ends one registration. It has no reference to the Tidemark, because apps may keep it. */
  #registration(source: Source): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      source.registrations -= 1;
      if (source.registrations === 0) this.#remove(source);
    };
  }

  #add(tidemark: MetricsSource, { attributes = {}, operationDuration = false }: MetricsOptions): Source {
    const source = new Source(
      tidemark,
      attributes,
      operationDuration ? this.#durationHistogram() : undefined,
    );
    if (this.#sources.size === 0)
      this.#meter.addBatchObservableCallback(this.#collect, [...this.#numbers.values()]);
    this.#sources.add(source);
    this.#listen(source, measuredOf(tidemark));
    return source;
  }

  #remove(source: Source): void {
    source.end();
    if (this.#sources.delete(source) && this.#sources.size === 0)
      this.#meter.removeBatchObservableCallback(this.#collect, [...this.#numbers.values()]);
  }

  #observe(result: BatchObservations): void {
    const sums = new Map<NumberMetric, Map<string, Observation>>();
    const present = new Set<string>();
    for (const source of this.#sources) {
      const measured = source.measure();
      if (measured === undefined) {
        this.#remove(source);
        continue;
      }
      // Servers that have joined bring histograms of their own.
      this.#listen(source, measured);
      for (const { address, role } of measured.nodes) present.add(serverKey(source, address, role));
      for (const metric of this.#numbers.keys()) add(sums, metric, source, measured);
    }
    for (const [metric, instrument] of this.#numbers) {
      const observations = sums.get(metric) ?? new Map<string, Observation>();
      for (const { value, attributes } of observations.values())
        result.observe(instrument, value, attributes);
      if (metric.kind === "gauge")
        for (const attributes of this.#gone(metric, observations, present))
          result.observe(instrument, 0, attributes);
    }
  }

  /**
   * The attributes of the values that `metric` had of servers that have left or have another role now. The SDK of OpenTelemetry
   * repeats the last value for ever, so it has to be one that does no harm.
   */
  #gone(
    metric: NumberMetric,
    observations: ReadonlyMap<string, Observation>,
    present: ReadonlySet<string>,
  ): MetricAttributes[] {
    const shown = this.#shown.get(metric) ?? new Map<string, Observation>();
    this.#shown.set(metric, shown);
    const gone: MetricAttributes[] = [];
    for (const [key, { server, attributes }] of shown) {
      if (server === undefined || present.has(server)) continue;
      shown.delete(key);
      gone.push(attributes);
    }
    for (const [key, observation] of observations) shown.set(key, observation);
    return gone;
  }

  /** Records the values of all histograms of `source` from now on. */
  #listen(source: Source, measured: Measured): void {
    for (const metric of metrics) {
      if (metric.kind !== "histogram") continue;
      for (const [labels, values] of metric.samples(measured)) {
        const histogram = values && histogramOf(values);
        if (histogram === undefined || source.hears(histogram)) continue;
        const instrument = this.#histogramFor(metric, histogram);
        const attributes = { ...attributesOf(labels), ...source.attributes };
        const scale = scaleOf(metric);
        source.listen(histogram, (value) => instrument.record(value / scale, attributes));
      }
    }
  }

  #histogramFor(metric: HistogramMetric, { bounds }: Histogram): HistogramInstrument {
    const known = this.#histograms.get(metric);
    if (known !== undefined) return known;
    const scale = scaleOf(metric);
    const made = this.#meter.createHistogram(metric.name, {
      description: metric.help,
      ...unitOf(metric),
      advice: { explicitBucketBoundaries: bounds.map((bound) => bound / scale) },
    });
    this.#histograms.set(metric, made);
    return made;
  }

  #durationHistogram(): HistogramInstrument {
    const { name, description, unit, boundaries } = operationDuration;
    this.#durations ??= this.#meter.createHistogram(name, {
      description,
      unit,
      advice: { explicitBucketBoundaries: [...boundaries] },
    });
    return this.#durations;
  }
}

const allMeters = new WeakMap<MetricsMeter, MeterMetrics>();

interface Observation {
  readonly value: number;
  /** The server that the value belongs to, see {@link serverKey}. */
  readonly server: string | undefined;
  readonly attributes: MetricAttributes;
}

/** Adds the samples of one Tidemark. Counters of Tidemarks with the same attributes are summed up. */
function add(
  sums: Map<NumberMetric, Map<string, Observation>>,
  metric: NumberMetric,
  source: Source,
  measured: Measured,
): void {
  const observations = sums.get(metric) ?? new Map<string, Observation>();
  sums.set(metric, observations);
  for (const [labels, value] of metric.samples(measured)) {
    if (value === undefined) continue;
    const attributes = { ...attributesOf(labels), ...source.attributes };
    const key = JSON.stringify(attributes);
    const before = metric.kind === "counter" ? (observations.get(key)?.value ?? 0) : 0;
    const { node, role } = labels;
    const server = node === undefined || role === undefined ? undefined : serverKey(source, node, role);
    observations.set(key, { value: before + value, server, attributes });
  }
}

/** Identifies a server in its role. */
function serverKey({ attributes }: Source, address: string, role: string): string {
  return JSON.stringify([address, role, attributes]);
}

function measuredOf(tidemark: MetricsSource): Measured {
  const { mode, rollout, limits } = tidemark;
  return { mode, rollout, limits, stats: tidemark.stats(), nodes: tidemark.topology() };
}

/** One Tidemark whose metrics are registered on a meter. */
class Source {
  readonly #tidemark: WeakRef<MetricsSource>;
  readonly attributes: MetricAttributes;
  registrations = 0;
  /** The histograms that are listened to. They belong to the Tidemark, and do not refer to it. */
  readonly #listeners = new Map<WeakRef<Histogram>, OnValue>();
  readonly #heard = new WeakSet<Histogram>();
  readonly #onRoute: ((message: RouteMessage) => void) | undefined;

  constructor(
    tidemark: MetricsSource,
    attributes: MetricAttributes,
    durations: HistogramInstrument | undefined,
  ) {
    this.#tidemark = new WeakRef(tidemark);
    this.attributes = attributes;
    if (durations === undefined) return;
    this.#onRoute = (message) => {
      // An operation whose answer was discarded counts at the server that answered in the end.
      if (message.outcome !== "discarded" && message.tidemark === this.#tidemark.deref())
        durations.record(message.durationMs / perSecond, { ...operationAttributes(message), ...attributes });
    };
    routeChannel.subscribe(this.#onRoute);
  }

  isOf(tidemark: MetricsSource): boolean {
    return this.#tidemark.deref() === tidemark;
  }

  /** The present values. Undefined if the Tidemark is gone. */
  measure(): Measured | undefined {
    const tidemark = this.#tidemark.deref();
    return tidemark && measuredOf(tidemark);
  }

  hears(histogram: Histogram): boolean {
    return this.#heard.has(histogram);
  }

  listen(histogram: Histogram, onValue: OnValue): void {
    for (const gone of [...this.#listeners.keys()].filter((ref) => ref.deref() === undefined))
      this.#listeners.delete(gone);
    this.#heard.add(histogram);
    this.#listeners.set(new WeakRef(histogram), onValue);
    histogram.listen(onValue);
  }

  end(): void {
    for (const [histogram, onValue] of this.#listeners) histogram.deref()?.unlisten(onValue);
    this.#listeners.clear();
    if (this.#onRoute !== undefined) routeChannel.unsubscribe(this.#onRoute);
  }
}

function operationAttributes({ command, node, role, outcome }: RouteMessage): MetricAttributes {
  return {
    "db.system.name": "redis",
    "db.operation.name": command,
    ...serverAttributes(node),
    "tidemark.role": role,
    ...(outcome === "failed" ? { "error.type": "_OTHER" } : {}),
  };
}

/** The attributes for the labels of a metric. Those of a server have the names of the semantic conventions. */
function attributesOf(labels: Labels): MetricAttributes {
  const attributes: Record<string, string | number> = {};
  for (const [label, text] of Object.entries(labels)) {
    if (label === nodeLabel) Object.assign(attributes, serverAttributes(text));
    else attributes[`tidemark.${label}`] = text;
  }
  return attributes;
}

/** `node` is `host:port`, or the path of a socket. */
function serverAttributes(node: string): MetricAttributes {
  const [, host, port] = /^(.*):(\d+)$/.exec(node) ?? [];
  return host === undefined
    ? { "server.address": node }
    : { "server.address": host, "server.port": Number(port) };
}

/** Times are kept in milliseconds, and OpenTelemetry gets seconds. */
function scaleOf({ unit }: HistogramMetric): number {
  return unit === "s" ? perSecond : 1;
}

/** A counter counts what the last word of its name says. */
function unitOf({ kind, name, unit }: Metric): { unit?: string } {
  if (unit !== undefined) return { unit };
  const counted = /([a-z]+)s$/.exec(name)?.[1];
  return counted === undefined || kind === "gauge" ? {} : { unit: `{${counted}}` };
}
