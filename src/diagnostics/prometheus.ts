/** Writes metrics in the text format of Prometheus, version 0.0.4. */
import type { HistogramValues } from "./counts.js";
import { type Labels, type Measured, type Metric, metrics } from "./metrics.js";

const suffixes = { s: "_seconds", By: "_bytes" } as const;

/** All metrics. */
export function prometheusText(measured: Measured): string {
  return metrics.map((metric) => familyOf(metric, measured)).join("");
}

/** The name of a metric in Prometheus: with its unit at the end, and with `_total` for a counter. */
function prometheusName({ name, unit, kind }: Metric): string {
  const suffix = unit === undefined ? "" : suffixes[unit];
  const plain = name.replaceAll(".", "_");
  return `${plain}${plain.endsWith(suffix) ? "" : suffix}${kind === "counter" ? "_total" : ""}`;
}

function familyOf(metric: Metric, measured: Measured): string {
  const { kind, help } = metric;
  const name = prometheusName(metric);
  const lines: string[] = [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`];
  if (metric.kind === "histogram") {
    const scale = metric.unit === "s" ? 1_000 : 1;
    for (const [labels, values] of metric.samples(measured))
      if (values !== undefined) lines.push(...histogramLines(name, labels, values, scale));
  } else {
    for (const [labels, value] of metric.samples(measured))
      if (value !== undefined) lines.push(lineOf(name, labels, value));
  }
  return `${lines.join("\n")}\n`;
}

/** The values are divided by `scale`, because Prometheus counts in seconds. */
function histogramLines(
  name: string,
  labels: Labels,
  { bounds, counts, sum }: HistogramValues,
  scale: number,
): string[] {
  let total = 0;
  const lines = counts.map((count, at) => {
    total += count;
    const bound = bounds[at];
    return lineOf(
      `${name}_bucket`,
      { ...labels, le: bound === undefined ? "+Inf" : String(bound / scale) },
      total,
    );
  });
  return [...lines, lineOf(`${name}_sum`, labels, sum / scale), lineOf(`${name}_count`, labels, total)];
}

function lineOf(name: string, labels: Labels, value: number): string {
  const list = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${list.length === 0 ? "" : `{${list.join()}}`} ${value}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
