/** Numbers as people read them, short enough for a column. */

const units = ["B", "KB", "MB", "GB", "TB", "PB"];
const thousands = ["", "k", "M", "G"];
const minuteS = 60;
const hourS = 3_600;
const dayS = 86_400;

/** At most seven characters: `950 B`, `1.2 MB`. A KB has 1024 bytes, as in the documentation of Redis. */
export function bytesText(bytes: number): string {
  const { value, at } = scaled(bytes, 1_024, units.length - 1);
  return `${at === 0 ? Math.round(value) : short(value)} ${units[at]}`;
}

/** `0 ms`, `12 ms`, `1.2 s`, `3 min`. */
export function durationText(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < minuteS) return `${short(Math.min(seconds, minuteS - 1))} s`;
  return secondsText(seconds);
}

/** `12 s`, `3 min`, `5 h`, `9 d`. Rounded down, because it is an age. */
export function secondsText(seconds: number): string {
  if (seconds < minuteS) return `${Math.floor(seconds)} s`;
  if (seconds < hourS) return `${Math.floor(seconds / minuteS)} min`;
  if (seconds < dayS) return `${Math.floor(seconds / hourS)} h`;
  return `${Math.floor(seconds / dayS)} d`;
}

/** At most five characters: `950`, `1.2k`, `12k`. */
export function countText(count: number): string {
  const { value, at } = scaled(count, 1_000, thousands.length - 1);
  return `${at === 0 ? Math.round(value) : short(value)}${thousands[at]}`;
}

function scaled(amount: number, base: number, most: number): { value: number; at: number } {
  let value = amount;
  let at = 0;
  // A number that would be rounded up to the next unit gets that unit.
  while (Math.round(value) >= base && at < most) {
    value /= base;
    at += 1;
  }
  return { value, at };
}

function short(value: number): string {
  const tenths = value.toFixed(1);
  return tenths.length > 3 ? value.toFixed(0) : tenths;
}
