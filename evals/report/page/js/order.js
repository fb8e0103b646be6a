/** Which rows the viewer shows, and in which order. Nothing here touches the page. */

const ANY = "any";
const APART = 1; // standard deviations between samples: "different"

export function initialState(data) {
  return {
    order: data.runs.length > 1 ? "disagreement" : "worst",
    metric: ANY,
    show: "all",
    category: "",
    tag: "",
    seed: "",
    outcome: "",
    text: "",
    runs: data.runs.map(() => true),
    flagged: -1, // the model whose flags are meant; -1 for any
    baseline: Math.max(0, data.runs.indexOf(data.baseline)),
  };
}

function chosen(data, state) {
  const all = data.metrics.map((metric, index) => ({ metric, index }));
  if (state.metric !== ANY) return all.filter(({ index }) => String(index) === state.metric);
  return all.filter(({ metric }) => metric.primary && metric.spread > 0);
}

function shownCells(row, state) {
  return row.cells.filter((cell, run) => cell && state.runs[run]);
}

function valueOf(cell, index) {
  const value = cell?.values[index];
  return value === undefined ? null : value;
}

/** Better is larger. */
function goodness(metric, value) {
  return metric.direction === "lower" ? -value : value;
}

/** The metric on which the shown models of a row are furthest apart, or a single one is worst; -1 for none. */
export function tellingMetric(data, state, row) {
  let [most, found] = [0, -1];
  for (const { metric, index } of chosen(data, state)) {
    if (!(metric.spread > 0)) continue;
    const values = shownCells(row, state).map((cell) => valueOf(cell, index)).filter((value) => value !== null);
    if (!values.length) continue;
    const far = values.length > 1 ? Math.max(...values) - Math.min(...values) : goodness(metric, metric.mean) - goodness(metric, values[0]);
    if (far / metric.spread > most) [most, found] = [far / metric.spread, index];
  }
  return found;
}

/** How far the shown models are apart, in standard deviations of the metric between samples. */
export function disagreement(data, state, row) {
  if (state.metric === ANY && state.runs.every(Boolean)) return row.apart;
  const ranges = chosen(data, state).map(({ metric, index }) => {
    const values = shownCells(row, state).map((cell) => valueOf(cell, index)).filter((value) => value !== null);
    return values.length > 1 && metric.spread > 0 ? (Math.max(...values) - Math.min(...values)) / metric.spread : 0;
  });
  return Math.max(0, ...ranges);
}

/** The largest loss of a shown model against the baseline. */
export function regression(data, state, row) {
  const base = row.cells[state.baseline];
  if (!base) return Number.NEGATIVE_INFINITY;
  const losses = [Number.NEGATIVE_INFINITY];
  for (const cell of shownCells(row, state)) {
    if (cell === base) continue;
    if (base.status === "ok" && cell.status !== "ok") return Number.POSITIVE_INFINITY;
    for (const { metric, index } of chosen(data, state)) {
      const [was, is] = [valueOf(base, index), valueOf(cell, index)];
      if (was === null || is === null || !(metric.spread > 0)) continue;
      losses.push((goodness(metric, was) - goodness(metric, is)) / metric.spread);
    }
  }
  return Math.max(...losses);
}

/** How bad the worst score of a shown model is; a video that is not there is the worst. */
export function badness(data, state, row) {
  const found = [Number.NEGATIVE_INFINITY];
  for (const cell of shownCells(row, state)) {
    if (cell.status !== "ok") return Number.POSITIVE_INFINITY;
    for (const { metric, index } of chosen(data, state)) {
      const value = valueOf(cell, index);
      if (value === null) continue;
      const scale = metric.spread > 0 ? metric.spread : 1;
      found.push((goodness(metric, metric.mean) - goodness(metric, value)) / scale);
    }
  }
  return Math.max(...found);
}

function isDifferent(data, state, row) {
  const outcomes = new Set(shownCells(row, state).map((cell) => cell.status));
  return outcomes.size > 1 || disagreement(data, state, row) > APART;
}

function holds(row, text) {
  const place = [row.prompt.id, row.prompt.text, row.prompt.category, ...row.prompt.tags].join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => place.includes(word));
}

function withFlag(kind) {
  return (data, state, row) =>
    row.cells.some(
      (cell, run) =>
        cell && state.runs[run] && (state.flagged < 0 || state.flagged === run) && cell.flags.some((flag) => flag.kind === kind),
    );
}

const SHOW = {
  all: () => true,
  different: isDifferent,
  failures: (data, state, row) => shownCells(row, state).some((cell) => cell.status !== "ok"),
  flagged: (data, state, row) => shownCells(row, state).some((cell) => cell.flags.length > 0),
  freeze: withFlag("freeze"),
  cut: withFlag("cut"),
  "flicker burst": withFlag("flicker burst"),
  "law broken": withFlag("law broken"),
  "thing lost": withFlag("thing lost"),
  jump: withFlag("jump"),
  starred: (data, state, row, marks) => marks.star(row) || Boolean(marks.comment(row)),
};

const ORDER = { disagreement, regression, worst: badness };

/** The rows to show, in order. */
export function visibleRows(data, state, marks) {
  const rows = data.rows.filter(
    (row) =>
      (!state.category || row.prompt.category === state.category) &&
      (!state.tag || row.prompt.tags.includes(state.tag)) &&
      (state.seed === "" || String(row.seed) === state.seed) &&
      (!state.outcome || shownCells(row, state).some((cell) => cell.status === state.outcome)) &&
      (!state.text.trim() || holds(row, state.text.trim())) &&
      SHOW[state.show](data, state, row, marks),
  );
  const key = ORDER[state.order];
  if (!key) return rows.sort((a, b) => (a.prompt.id < b.prompt.id ? -1 : a.prompt.id > b.prompt.id ? 1 : a.seed - b.seed));
  const keys = new Map(rows.map((row) => [row, key(data, state, row)]));
  return rows.sort((a, b) => (keys.get(a) === keys.get(b) ? a.number - b.number : keys.get(b) - keys.get(a)));
}
