/** The table of the latest reads, which the user can freeze and filter. */
import type { Reason } from "../src/diagnostics/channels.js";
import type { ReadLine } from "../src/http/dashboard/feed-messages.js";
import { arrange, bodyOf, byId, cell, make, row, setText } from "./element.js";
import { clockTime, count, milliseconds } from "./quantities.js";
import { swatch } from "./reads-chart.js";
import { reasonTexts } from "./reasons.js";
import type { Recent } from "./recent.js";

export class LatestReads {
  readonly #recent: Recent;
  readonly #pause = byId("pause");
  #rows = new Map<ReadLine, HTMLTableRowElement>();
  #filter: Reason | undefined;
  /** How many reads had been received when the user paused. Undefined while the table is live. */
  #pausedAt: number | undefined;

  constructor(recent: Recent) {
    this.#recent = recent;
    const select = byId("filter");
    select.append(make("option", { value: "" }, "all"));
    for (const { reason } of reasonTexts) select.append(make("option", { value: reason }, reason));
    select.addEventListener("change", ({ target }) => {
      const value = target instanceof HTMLSelectElement ? target.value : "";
      this.#filter = reasonTexts.find(({ reason }) => reason === value)?.reason;
      this.#fill();
    });
    this.#pause.addEventListener("click", () => {
      this.#pausedAt = this.#pausedAt === undefined ? recent.received : undefined;
      this.#fill();
    });
  }

  show(): void {
    if (this.#pausedAt === undefined) this.#fill();
    else this.#announce();
  }

  #fill(): void {
    const reads = this.#recent.reads(this.#filter).toReversed();
    this.#rows = new Map(reads.map((read) => [read, this.#rows.get(read) ?? rowOf(read)]));
    arrange(bodyOf("latest"), [...this.#rows.values()]);
    byId("latest").hidden = reads.length === 0;
    byId("no-latest").hidden = reads.length > 0;
    setText(
      byId("no-latest"),
      this.#filter === undefined ? "No reads yet." : `No reads with the reason ${this.#filter}.`,
    );
    this.#announce();
  }

  #announce(): void {
    const isPaused = this.#pausedAt !== undefined;
    this.#pause.setAttribute("aria-pressed", String(isPaused));
    const missed = this.#recent.received - (this.#pausedAt ?? 0);
    setText(byId("paused"), isPaused ? `Paused. ${count(missed)} newer reads.` : "");
    byId("latest-scroll").classList.toggle("paused", isPaused);
  }
}

function rowOf({
  at,
  command,
  node,
  role,
  reason,
  level,
  durationMs,
  outcome,
}: ReadLine): HTMLTableRowElement {
  return row(
    cell("time", clockTime(at)),
    cell("command", command),
    cell("server", make("span", { class: `tag ${role}-tag` }, role), node),
    cell("reason", swatch(reason), reason),
    cell("level", level),
    cell("number took", milliseconds(durationMs)),
    cell(`outcome ${outcome}`, outcome),
  );
}
