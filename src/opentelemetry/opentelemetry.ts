/** The entry `tidemark/opentelemetry`. It imports nothing of OpenTelemetry: the app passes its own objects. */
export {
  type BatchObservations,
  type HistogramInstrument,
  type InstrumentOptions,
  type MetricAttributes,
  type MetricsMeter,
  type MetricsOptions,
  type MetricsSource,
  type ObservableInstrument,
  registerMetrics,
} from "./metrics.js";
export {
  type AttributeSpan,
  type CommandAttributes,
  commandAttributes,
  isOwnCommand,
  requestHook,
  type SpanSampler,
  withoutOwnCommands,
} from "./traces.js";
