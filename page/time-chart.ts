/** The frame of a chart over the last five minutes: the axes, and a cursor that pointers and arrow keys move. */
import { draw } from "./element.js";
import { type Moment, momentCount, momentMs } from "./moments.js";
import { windowMs } from "./recent.js";
import type { TimeCursor } from "./time-cursor.js";

export interface ChartText {
  /** What screen readers call the chart. */
  readonly label: string;
  /** What they read when the cursor is at a moment. */
  describe(moment: Moment): string;
}

/** The space around the plot. The labels of both charts' axes are left of it, so that the moments are above each other. */
const margin = { left: 62, right: 10, top: 10, bottom: 28 };
const steps = [1, 2, 5, 10];

/** Where things are in the plot, in pixels. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly momentWidth: number;
  x(at: number): number;
  y(value: number): number;
}

export class TimeChart {
  readonly #element: HTMLElement;
  readonly #cursor: TimeCursor;
  readonly #text: ChartText;
  readonly #height: number;
  /** The space for lanes between the plot and the time axis. */
  readonly #lanes: number;
  #moments: readonly Moment[] = [];

  constructor(
    element: HTMLElement,
    cursor: TimeCursor,
    {
      text,
      height,
      lanes = 0,
    }: { readonly text: ChartText; readonly height: number; readonly lanes?: number },
  ) {
    this.#element = element;
    this.#cursor = cursor;
    this.#text = text;
    this.#height = height;
    this.#lanes = lanes;
    // A slider is the role whose value screen readers read out when arrow keys change it.
    const attributes = { role: "slider", tabindex: "0", "aria-label": text.label, "aria-valuemin": "0" };
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.setAttribute("aria-valuemax", String(momentCount - 1));
    element.addEventListener("pointermove", (event) => this.#point(event));
    element.addEventListener("pointerdown", (event) => this.#point(event));
    element.addEventListener("pointerleave", () => this.#leave());
    element.addEventListener("keydown", (event) => this.#press(event));
    element.addEventListener("focus", () => this.#focus());
    element.addEventListener("blur", () => cursor.moveTo(undefined));
  }

  /** Draws the axes for values up to `highest`, and what `paint` returns for the plot. */
  draw(
    moments: readonly Moment[],
    highest: number,
    { label, paint }: { label(value: number): string; paint(plot: Plot): readonly SVGElement[] },
  ): void {
    this.#moments = moments;
    const step = niceStep(highest);
    const top = step * Math.max(1, Math.ceil(highest / step - 1e-9));
    const plot = this.#plot(top);
    const width = this.#element.clientWidth;
    const height = this.#height + this.#lanes;
    const svg = draw("svg", { width, height, "aria-hidden": "true" });
    for (let value = 0; value <= top + step / 2; value += step)
      svg.append(...gridLine(plot, value, label(value)));
    svg.append(...this.#timeAxis(plot), ...this.#cursorMark(plot), ...paint(plot));
    this.#element.replaceChildren(svg);
    this.#describe();
  }

  #plot(top: number): Plot {
    const right = Math.max(margin.left + momentCount, this.#element.clientWidth - margin.right);
    const bottom = this.#height - margin.bottom;
    const from = this.#moments[0]?.from ?? 0;
    const width = right - margin.left;
    return {
      ...{ left: margin.left, right, top: margin.top, bottom },
      momentWidth: width / momentCount,
      x: (at) => margin.left + ((at - from) / windowMs) * width,
      y: (value) => bottom - (value / top) * (bottom - margin.top),
    };
  }

  #timeAxis({ left, right, bottom }: Plot): SVGElement[] {
    const y = bottom + this.#lanes + 20;
    return Array.from({ length: 6 }, (_, minute) => {
      const x = left + (minute / 5) * (right - left);
      if (minute === 5) return [draw("text", { x, y, "text-anchor": "end", class: "axis" }, "now")];
      // The label beside "now" needs more room than a phone has.
      if (minute === 4 && right - left < 300) return [];
      return [draw("text", { x, y, "text-anchor": "middle", class: "axis" }, `−${5 - minute} min`)];
    }).flat();
  }

  #cursorMark({ x, top, bottom, momentWidth }: Plot): SVGElement[] {
    const { at } = this.#cursor;
    if (at === undefined || !this.#moments.some(({ from }) => from === at)) return [];
    const height = bottom - top + this.#lanes;
    return [draw("rect", { x: x(at), y: top, width: momentWidth, height, class: "cursor" })];
  }

  #describe(): void {
    const { at } = this.#cursor;
    const index = this.#moments.findIndex(({ from }) => from === at);
    const moment = this.#moments[index] ?? this.#moments.at(-1);
    if (moment === undefined) return;
    this.#element.setAttribute("aria-valuenow", String(index < 0 ? momentCount - 1 : index));
    // Without a cursor the text would change each second, and screen readers would read it each time.
    this.#element.setAttribute(
      "aria-valuetext",
      index < 0 ? "the last five minutes" : this.#text.describe(moment),
    );
  }

  #point({ clientX }: PointerEvent): void {
    const { left, right } = this.#plot(1);
    const x = clientX - this.#element.getBoundingClientRect().left;
    const index = Math.floor(((x - left) / (right - left)) * momentCount);
    this.#moveTo(Math.min(momentCount - 1, Math.max(0, index)));
  }

  #leave(): void {
    if (document.activeElement !== this.#element) this.#cursor.moveTo(undefined);
  }

  #focus(): void {
    if (this.#element.matches(":focus-visible") && this.#cursor.at === undefined)
      this.#moveTo(momentCount - 1);
  }

  #press(event: KeyboardEvent): void {
    const at = this.#cursor.at ?? this.#moments.at(-1)?.from ?? 0;
    const index = this.#moments.findIndex(({ from }) => from === at);
    const last = momentCount - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowLeft: Math.max(0, index - 1),
      ArrowRight: Math.min(last, index + 1),
      PageUp: Math.max(0, index - windowMs / 5 / momentMs),
      PageDown: Math.min(last, index + windowMs / 5 / momentMs),
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target === undefined && event.key !== "Escape") return;
    event.preventDefault();
    if (target === undefined) this.#cursor.moveTo(undefined);
    else this.#moveTo(target);
  }

  #moveTo(index: number): void {
    this.#cursor.moveTo(this.#moments[index]?.from);
  }
}

function gridLine({ left, right, y }: Plot, value: number, label: string): SVGElement[] {
  const at = Math.round(y(value)) + 0.5;
  return [
    draw("line", { x1: left, x2: right, y1: at, y2: at, class: value === 0 ? "base" : "grid" }),
    draw("text", { x: left - 8, y: at + 4, "text-anchor": "end", class: "axis" }, label),
  ];
}

/** A step of 1, 2 or 5 times a power of ten that divides the axis into at most four parts. */
function niceStep(highest: number): number {
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return (steps.find((step) => step * power >= rough - 1e-9) ?? 10) * power;
}
