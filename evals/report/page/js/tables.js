/** Tables that the page holds already: sort by a column, filter, hide what is inconclusive. */

import { el, select } from "./dom.js";

/** A cell's value for sorting: a number where the page gives one, else its text. */
function sortKey(cell) {
  const given = cell?.dataset.v;
  if (given !== undefined) return given === "" ? Number.NEGATIVE_INFINITY : Number(given);
  return cell?.textContent.trim().toLowerCase() ?? "";
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

/** Make the heads of a table buttons that sort it. */
export function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const sorter = el("button", { type: "button", class: "sorter" }, ...head.childNodes);
    head.replaceChildren(sorter);
    sorter.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
      // What has no value comes last, whichever way.
      const missing = (key) => key === "" || key === "–" || key === Number.NEGATIVE_INFINITY;
      keyed.sort(([a], [b]) => missing(a) - missing(b) || (down ? compare(b, a) : compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

/** Filters of the table of differences: aspect, model, verdict, words, and without what is inconclusive. */
export function filterable(table, place) {
  const rows = [...table.tBodies[0].rows];
  const state = { aspect: "", verdict: "", model: "", text: "", decided: false };
  const told = el("span", { class: "dim", role: "status" });
  const apply = () => {
    let shown = 0;
    for (const row of rows) {
      const { aspect, verdict, a, b } = row.dataset;
      const open = verdict === "inconclusive" || verdict === "diagnostic" || verdict === "not scored";
      row.hidden = !(
        (!state.aspect || aspect === state.aspect) &&
        (!state.verdict || verdict === state.verdict) &&
        (!state.model || a === state.model || b === state.model) &&
        (!state.decided || !open) &&
        (!state.text || row.textContent.toLowerCase().includes(state.text))
      );
      if (!row.hidden) shown += 1;
    }
    told.textContent = `${shown} of ${rows.length}`;
  };
  const set = (name) => (value) => {
    state[name] = value;
    apply();
  };
  const options = (values) => [["", "all"], ...[...new Set(values)].map((x) => [x, x])];
  const decided = el("input", { type: "checkbox", onchange: () => set("decided")(decided.checked) });
  const text = el("input", { type: "search", "aria-label": "Find in differences", placeholder: "metric or model", oninput: () => set("text")(text.value.trim().toLowerCase()) });
  const models = rows.flatMap((row) => [row.dataset.a, row.dataset.b]);
  place.replaceChildren(
    el("label", {}, "Aspect", select("Aspect", options(rows.map((row) => row.dataset.aspect)), "", set("aspect"))),
    el("label", {}, "Verdict", select("Verdict", options(rows.map((row) => row.dataset.verdict)), "", set("verdict"))),
    ...(new Set(models).size > 2 ? [el("label", {}, "Model", select("Model", options(models), "", set("model")))] : []),
    el("label", {}, decided, " hide inconclusive"),
    el("label", {}, "Find", text),
    told,
  );
  apply();
}
