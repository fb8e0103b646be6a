/** Brings the page to life. Without it all tables and figures are there; only videos need it. */

import { panels } from "./about.js";
import { decoded, handedOver } from "./data.js";
import { announce } from "./dom.js";
import { filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Marks } from "./marks.js";
import { initialState, visibleRows } from "./order.js";
import { Stage } from "./stage.js";
import { filterable, sortable } from "./tables.js";

const find = (id) => document.getElementById(id);

/** The matrix of the chosen baseline; gives a function that calls back when it changes. */
function chooseBaseline(changed) {
  const chooser = find("baseline");
  if (!chooser) return;
  chooser.closest("[hidden]")?.removeAttribute("hidden");
  chooser.addEventListener("change", () => {
    for (const matrix of document.querySelectorAll("[data-matrix]")) matrix.hidden = matrix.dataset.matrix !== chooser.value;
    changed(chooser.value);
  });
}

function printing() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("#answer details:not([open]), #problems details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
}

async function viewer(baselines) {
  const place = find("grid");
  if (!place) return;
  const data = decoded(await handedOver("rows"));
  const state = initialState(data);
  const marks = new Marks(data.id);
  let rows = [];
  const stage = new Stage(find("stage"), data, state, marks, (row, step) => rows[rows.indexOf(row) + step]);
  const grid = new Grid(place, data, state, marks, (row) => {
    grid.stop();
    stage.open(row);
  });
  const update = () => {
    rows = visibleRows(data, state, marks);
    grid.show(rows);
    const told = `${rows.length} of ${data.rows.length} prompts and seeds`;
    find("shown").textContent = told;
    find("nothing").hidden = rows.length > 0;
    announce(told);
  };
  const draw = () => filters(find("filters"), data, state, marks, update);
  draw();
  document.addEventListener("click", (event) => {
    const asked = event.target instanceof Element ? event.target.closest("[data-row]") : null;
    if (asked) stage.open(data.rows[Number(asked.dataset.row)]);
    const flag = event.target instanceof Element ? event.target.closest("[data-flag]") : null;
    if (!flag) return;
    state.show = flag.dataset.flag;
    state.flagged = Number(flag.dataset.run);
    draw();
    update();
    find("videos").scrollIntoView();
  });
  marks.addEventListener("change", () => {
    if (state.show === "starred") update();
  });
  baselines.push((label) => {
    const index = data.runs.indexOf(label);
    if (index < 0) return;
    state.baseline = index;
    draw();
    if (state.order === "regression") update();
  });
  update();
}

const baselines = [];
chooseBaseline((label) => baselines.forEach((tell) => tell(label)));
for (const table of document.querySelectorAll("table.sortable")) sortable(table);
const differences = find("differences-table");
if (differences) filterable(differences, find("differences-filters"));
panels(find("about"));
printing();
viewer(baselines).catch((error) => {
  find("shown").textContent = `The videos cannot be shown: ${error.message}`;
});
