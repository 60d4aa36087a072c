/** The servers: what each does, how far it is behind, and what to do if it is not used. */
import type { NodeState } from "../src/diagnostics/channels.js";
import type { SampledNode } from "../src/http/dashboard/feed-messages.js";
import { arrange, bodyOf, byId, cell, make, row, setText } from "./element.js";
import { stateTexts } from "./node-states.js";
import { bytes, milliseconds } from "./quantities.js";

/** With more servers, the table shows only those that are not used until the user asks for all. */
const mostShown = 12;
/** Without a connection that answers, the latency is an old one. */
const unansweredStates: ReadonlySet<NodeState> = new Set(["silent", "loading", "unauthorized"]);

export class ServersTable {
  readonly #body = bodyOf("servers");
  readonly #button = byId("all-servers");
  readonly #note = byId("no-servers");
  #rows = new Map<string, ServerRow>();
  #nodes: readonly SampledNode[] = [];
  #isOpen = false;

  constructor() {
    this.#button.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      this.show(this.#nodes);
    });
  }

  show(nodes: readonly SampledNode[]): void {
    this.#nodes = nodes;
    const isLong = nodes.length > mostShown;
    const shown = isLong && !this.#isOpen ? nodes.filter(({ eligible }) => !eligible) : nodes;
    const rows = new Map<string, ServerRow>();
    for (const node of shown) {
      const line = this.#rows.get(node.address) ?? new ServerRow(node.address);
      line.show(node);
      rows.set(node.address, line);
    }
    this.#rows = rows;
    arrange(
      this.#body,
      [...rows.values()].map(({ element }) => element),
    );
    byId("servers").hidden = shown.length === 0;
    this.#button.hidden = !isLong;
    this.#button.setAttribute("aria-expanded", String(this.#isOpen));
    setText(
      this.#button,
      this.#isOpen ? "Show only servers that are not used" : `Show all ${nodes.length} servers`,
    );
    setText(this.#note, noteOf(nodes, shown.length));
  }
}

function noteOf(nodes: readonly SampledNode[], shown: number): string {
  if (nodes.length === 0) return "No server is known yet.";
  if (shown === 0) return `All ${nodes.length} servers serve.`;
  return shown < nodes.length ? `The other ${nodes.length - shown} servers serve.` : "";
}

class ServerRow {
  readonly #address = make("b");
  readonly #role = make("span", { class: "tag" });
  readonly #zone = make("span", { class: "zone" });
  readonly #state = make("span", { class: "state" });
  readonly #reason = make("span", { class: "why" });
  readonly #lag = cell("number lag");
  readonly #bytes = cell("number bytes");
  readonly #latency = cell("number latency");
  readonly element = row(
    cell("server", this.#address, this.#role, this.#zone),
    cell("state-cell", this.#state, this.#reason),
    ...[this.#lag, this.#bytes, this.#latency],
  );

  constructor(address: string) {
    this.#address.textContent = address;
  }

  show({ role, state, eligible, reason, lagMs, lagBytes, latencyMs, zone }: SampledNode): void {
    this.element.className = eligible ? role : `${role} ${state === "excluded" ? "excluded" : "unused"}`;
    this.#role.className = `tag ${role}-tag`;
    setText(this.#role, role);
    setText(this.#zone, zone === undefined ? "" : `zone ${zone}`);
    setText(this.#state, state);
    setText(this.#reason, whyNot({ state, eligible, reason }));
    const isPrimary = role === "primary";
    setText(this.#lag, isPrimary ? "–" : lagMs === undefined ? "not proven" : milliseconds(lagMs));
    setText(this.#bytes, isPrimary ? "–" : lagBytes === undefined ? "unknown" : bytes(lagBytes));
    const hasLatency = latencyMs > 0 && !unansweredStates.has(state);
    setText(this.#latency, hasLatency ? milliseconds(latencyMs) : "–");
    this.#lag.classList.toggle("unproven", !isPrimary && lagMs === undefined);
    this.#bytes.classList.toggle("unproven", !isPrimary && lagBytes === undefined);
  }
}

function whyNot({
  state,
  eligible,
  reason,
}: Pick<SampledNode, "state" | "eligible"> & { readonly reason: string | undefined }): string {
  if (eligible) return "";
  const { phrase, advice } = stateTexts[state];
  const why = reason ?? `it ${phrase}`;
  const sentence = `${why.charAt(0).toUpperCase()}${why.slice(1)}${/[.!?]$/.test(why) ? "" : "."}`;
  return advice === undefined ? sentence : `${sentence} ${advice}`;
}
