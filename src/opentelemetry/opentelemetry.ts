/** The entry `tidemark/opentelemetry`. It imports nothing of OpenTelemetry: the app passes its own objects. */
export {
  type AttributeSpan,
  type CommandAttributes,
  commandAttributes,
  isOwnCommand,
  requestHook,
  type SpanSampler,
  withoutOwnCommands,
} from "./traces.js";
