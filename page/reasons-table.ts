/** The legend of the reads chart: each reason with its meaning, its advice and its reads. */
import { arrange, bodyOf, byId, cell, make, row, setText } from "./element.js";
import { iconOf, signOf } from "./mark-kinds.js";
import type { Moment } from "./moments.js";
import { clockTime, count, percent } from "./quantities.js";
import { totalOf } from "./read-counts.js";
import { summary, swatch } from "./reads-chart.js";
import { type ReasonText, reasonTexts } from "./reasons.js";

const tagOf: Readonly<Record<ReasonText["normal"], string>> = {
  normal: "good",
  "normal if intended": "warn",
  "normal if rare": "warn",
  "a problem": "bad",
};

export class ReasonsTable {
  readonly #rows = new Map(reasonTexts.map((text) => [text.reason, rowOf(text)]));

  /** Shows the moment at the cursor, or all of them. A reason of the last five minutes keeps its row at every moment. */
  show(all: Moment, selected: Moment | undefined): void {
    const { counts } = selected ?? all;
    const total = totalOf(counts);
    const shown = reasonTexts.flatMap(({ reason }) => {
      const line = this.#rows.get(reason);
      if (line === undefined || !all.counts.has(reason)) return [];
      const reads = counts.get(reason) ?? 0;
      const [, number, share] = line.children;
      if (number) setText(number, count(reads));
      if (share) setText(share, total === 0 ? "" : percent(reads / total));
      return [line];
    });
    arrange(bodyOf("reasons"), shown);
    byId("reasons").hidden = shown.length === 0;
    byId("no-reads").hidden = shown.length > 0;
    setText(
      byId("moment"),
      `${selected ? clockTime(selected.from) : "Last five minutes"}: ${summary(selected ?? all)}`,
    );
    this.#showMarks(selected);
  }

  #showMarks(selected: Moment | undefined): void {
    const lines = (selected?.marks ?? []).map((mark) =>
      make("li", {}, iconOf(signOf(mark)), make("span", {}, mark.text)),
    );
    byId("moment-marks").replaceChildren(...lines);
  }
}

function rowOf({ reason, meaning, normal, advice }: ReasonText): HTMLTableRowElement {
  const tag = make("span", { class: `tag ${tagOf[normal]}` }, normal);
  const name = make("span", { class: "named" }, make("b", {}, swatch(reason), reason), tag);
  const text = make("span", { class: "meaning" }, advice === undefined ? meaning : `${meaning} ${advice}`);
  return row(cell("", name, text), cell("number"), cell("number"));
}
