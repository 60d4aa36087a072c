/** Numbers with their units, as short as the page has room for. */

export function count(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 1 });
}

/** A rate keeps two digits, so that a few reads a minute do not look like none. */
export function rate(perSecond: number): string {
  return perSecond.toLocaleString("en", { maximumFractionDigits: perSecond < 10 ? 1 : 0 });
}

export function milliseconds(ms: number): string {
  if (ms < 9.95) return `${(Math.round(ms * 10) / 10).toLocaleString("en")} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  if (value < 999_500) return `${shortened(value / 1_000)} KB`;
  if (value < 999_500_000) return `${shortened(value / 1_000_000)} MB`;
  return `${shortened(value / 1_000_000_000)} GB`;
}

/** A share below a percent is not 0, and one above 99 is not all. */
export function percent(share: number): string {
  const rounded = Math.round(share * 100);
  if (rounded === 0 && share > 0) return "< 1 %";
  if (rounded === 100 && share < 1) return "> 99 %";
  return `${rounded} %`;
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

function shortened(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
