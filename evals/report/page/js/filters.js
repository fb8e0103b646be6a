/** The viewer's controls: what to show, and in which order. */

import { button, el, select } from "./dom.js";

const ANY = "any";

/** Fill `place` with controls that change `state` and then call `changed`. */
export function filters(place, data, state, marks, changed) {
  const set = (name) => (value) => {
    state[name] = value;
    changed();
  };
  const unique = (values) => [...new Set(values)].sort((a, b) => (a < b ? -1 : 1));
  const options = (label, values, name) => {
    if (values.length < 2 && name !== "outcome") return null;
    return el("label", {}, label, select(label, [["", "all"], ...values.map((x) => [String(x), String(x)])], state[name], set(name)));
  };
  const outcomes = unique(data.rows.flatMap((row) => row.cells.filter(Boolean).map((cell) => cell.status)));
  const orders = [
    ["disagreement", "largest disagreement"],
    ["regression", `largest loss against ${data.runs[state.baseline]}`],
    ["worst", "worst score"],
    ["id", "prompt id"],
  ].filter(([key]) => data.runs.length > 1 || key === "worst" || key === "id");
  const metrics = [[ANY, "any primary metric"], ...data.metrics.map((metric, index) => [String(index), metric.name])];
  const kinds = unique(data.rows.flatMap((row) => row.cells.filter(Boolean).flatMap((cell) => cell.flags.map((flag) => flag.kind))));
  const shows = [
    ["all", "all"],
    ["different", "different"],
    ["failures", "failures (no video)"],
    ["flagged", "with flagged frames"],
    ...kinds.map((kind) => [kind, `with a ${kind}`]),
    ["starred", "starred or commented"],
  ].filter(([key]) => data.runs.length > 1 || key !== "different");
  let timer = 0;
  const text = el("input", {
    type: "search", placeholder: "words, ids, tags", "aria-label": "Find in prompts",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => set("text")(text.value), 120);
    },
  });
  const runs = data.runs.map((run, index) => {
    const box = el("input", {
      type: "checkbox",
      onchange: () => {
        state.runs[index] = box.checked;
        changed();
      },
    });
    box.checked = true;
    return el("label", {}, box, ` ${run}`);
  });
  place.replaceChildren(
    ...[
      el("label", {}, "Order", select("Order", orders, state.order, set("order"))),
      el("label", {}, "by", select("Metric", metrics, state.metric, set("metric"))),
      el("label", {}, "Show", select("Show", shows, state.show, (value) => {
        state.flagged = -1;
        set("show")(value);
      })),
      options("Category", unique(data.prompts.map((prompt) => prompt.category)), "category"),
      options("Tag", unique(data.prompts.flatMap((prompt) => prompt.tags)), "tag"),
      options("Seed", [...new Set(data.rows.map((row) => row.seed))].sort((a, b) => a - b), "seed"),
      outcomes.length > 1 ? options("Outcome", outcomes, "outcome") : null,
      el("label", {}, "Find", text),
      data.runs.length > 1 ? el("fieldset", {}, el("legend", {}, "Models"), ...runs) : null,
      button("Export stars and comments", "Export stars and comments as JSON", () => marks.download(data), { class: "export" }),
    ].filter(Boolean),
  );
}
