/** One prompt, large: players in step, wipe and difference of two models, curves, flagged frames, scores. */

import { charts, colourOf } from "./curves.js";
import { curvesOf } from "./data.js";
import { announce, button, el, isTyping, number, select } from "./dom.js";
import { frame, players } from "./players.js";
import { playbackKey, transport } from "./transport.js";

const VIEWS = [
  ["side", "side by side"],
  ["wipe", "wipe"],
  ["difference", "difference"],
];

export class Stage {
  /** `neighbour(row, step)` gives the row before or after in the reader's order. */
  constructor(dialog, data, state, marks, neighbour) {
    Object.assign(this, { dialog, data, state, marks, neighbour });
    this.view = "side";
    this.clock = null;
    this.release = () => {};
    dialog.addEventListener("close", () => this.clear());
    dialog.addEventListener("keydown", (event) => this.key(event));
  }

  open(row) {
    this.clear();
    this.row = row;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.pair = this.firstPair();
    if (!this.pair) this.view = "side";
    this.build();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.setView(this.view);
    this.clock.seek(0);
    this.loadCurves();
  }

  /** The two models that wipe and difference begin with: the baseline and another. */
  firstPair() {
    const seen = this.row.cells.flatMap((cell, run) => (cell?.name && this.state.runs[run] ? [run] : []));
    if (seen.length < 2) return null;
    const a = seen.includes(this.state.baseline) ? this.state.baseline : seen[0];
    return [a, seen.find((run) => run !== a)];
  }

  clear() {
    this.release();
    this.release = () => {};
    this.clock?.close();
    this.clock = null;
    this.dialog.replaceChildren();
  }

  build() {
    const { row, data } = this;
    this.figures = row.cells.map((cell, run) => (this.state.runs[run] ? this.figure(cell, run) : null));
    this.clock = players(this.figures.flatMap((figure, run) => (figure ? [[row.cells[run], figure.box]] : [])));
    this.stage = el("div", { class: "stage", onwheel: (event) => this.wheel(event) }, ...this.figures.filter(Boolean));
    this.drag();
    this.curves = el("div", { class: "curves", "aria-label": "Curves over frames" });
    this.tools = el("div", { class: "tools" });
    this.paintTools();
    const star = button(this.marks.star(row) ? "★" : "☆", "Star (s)", () => this.star(), { class: "star", "aria-pressed": String(this.marks.star(row)) });
    const comment = el("textarea", {
      rows: 2, "aria-label": "Comment", placeholder: "A comment, kept by this browser",
      oninput: () => this.marks.set(this.row, { comment: comment.value }),
    });
    comment.value = this.marks.comment(row);
    this.dialog.replaceChildren(
      el(
        "header",
        {},
        star,
        el("h3", { tabindex: -1, autofocus: true }, row.prompt.text),
        el("span", { class: "dim" }, `${row.prompt.category} · ${row.prompt.id} · seed ${row.seed}`),
        el(
          "span",
          { class: "moves" },
          button("‹", "The prompt before (p)", () => this.go(-1)),
          button("›", "The next prompt (n)", () => this.go(1)),
          button("✕", "Close (escape)", () => this.dialog.close(), { class: "close" }),
        ),
      ),
      this.tools,
      this.stage,
      transport(this.clock),
      this.flags(),
      this.curves,
      this.scores(),
      comment,
      el("p", { class: "dim keys" }, "Keys: space plays, ← → step a frame (with shift ten), w wipe, d difference, a side by side, + − 0 zoom, s star, n p next and previous prompt."),
    );
    const widest = Math.max(...row.cells.filter((cell) => cell?.name).map((cell) => cell.width / cell.height), 0);
    this.stage.style.setProperty("--ratio", String(widest || 16 / 9));
    data.runs.forEach((_, run) => this.figures[run]?.style.setProperty("--series", colourOf(this.data, run)));
  }

  figure(cell, run) {
    const box = frame(cell);
    const label = this.data.runs[run];
    const caption = el("figcaption", {}, el("b", {}, label));
    if (cell?.status === "ok") {
      caption.append(el("span", { class: "dim" }, ` ${cell.facts} `));
      if (cell.original) caption.append(el("a", { href: cell.original, target: "_blank", rel: "noopener" }, "original"));
    }
    if (cell?.name) {
      const shift = el("input", {
        type: "number", step: 1, value: "0", min: -cell.frames, max: cell.frames, "aria-label": `Time shift of ${label} in frames`, class: "shift",
        oninput: () => this.clock.shift(box.track, Math.trunc(Number(shift.value) || 0)),
      });
      caption.append(el("label", { class: "shifting", title: "Show this video so many of its frames ahead; below 0, behind" }, " shift (frames) ", shift));
    }
    const figure = el("figure", {}, box, caption);
    figure.box = box;
    return figure;
  }

  paintTools() {
    if (!this.pair) {
      this.tools.replaceChildren(...this.zoomButtons());
      return;
    }
    const usable = this.data.runs.flatMap((run, k) => (this.row.cells[k]?.name && this.state.runs[k] ? [[String(k), run]] : []));
    const pick = (side, label) =>
      select(label, usable, String(this.pair[side]), (value) => {
        this.pair[side] = Number(value);
        this.setView(this.view);
      });
    this.wipe = el("input", {
      type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": "Place of the wipe", class: "wipe-at",
      oninput: () => this.stage.style.setProperty("--wipe", `${this.wipe.value}%`),
    });
    this.views = VIEWS.map(([key, label]) => button(label, label, () => this.setView(key), { class: "view", "aria-pressed": "false", "data-view": key }));
    this.of = el("span", { class: "of" }, pick(0, "Left or first model"), " and ", pick(1, "Right or second model"), " ", this.wipe);
    this.told = el("span", { class: "dim" }, "black: alike; three times as bright as |a − b|");
    this.tools.replaceChildren(...this.views, this.of, ...this.zoomButtons(), this.told);
  }

  zoomButtons() {
    return [
      button("−", "Zoom out (−)", () => this.zoomBy(0.5)),
      button("+", "Zoom in (+)", () => this.zoomBy(2)),
      button("fit", "No zoom (0)", () => this.zoomBy(0)),
    ];
  }

  setView(view) {
    if (!this.pair) return;
    this.view = view;
    const alone = view !== "side";
    this.stage.className = `stage ${view}`;
    this.stage.style.setProperty("--wipe", `${this.wipe.value}%`);
    this.of.hidden = !alone;
    this.told.hidden = view !== "difference";
    this.wipe.hidden = view !== "wipe";
    for (const node of this.views) node.setAttribute("aria-pressed", String(node.dataset.view === view));
    this.figures.forEach((figure, run) => {
      if (!figure) return;
      figure.hidden = alone && !this.pair.includes(run);
      figure.classList.toggle("first", alone && this.pair[0] === run);
      figure.classList.toggle("second", alone && this.pair[1] === run && this.pair[0] !== run);
    });
  }

  zoomBy(factor) {
    const zoom = this.zoom;
    zoom.scale = factor ? Math.min(16, Math.max(1, zoom.scale * factor)) : 1;
    if (zoom.scale === 1) zoom.x = zoom.y = 0;
    this.pan(0, 0);
  }

  /** Move what is seen, in shares of a frame; all frames move alike. */
  pan(dx, dy) {
    const { zoom } = this;
    const most = (zoom.scale - 1) / 2;
    zoom.x = Math.min(most, Math.max(-most, zoom.x + dx));
    zoom.y = Math.min(most, Math.max(-most, zoom.y + dy));
    this.stage.style.setProperty("--zoom", `translate(${100 * zoom.x}%, ${100 * zoom.y}%) scale(${zoom.scale})`);
  }

  wheel(event) {
    if (!event.ctrlKey && this.zoom.scale === 1) return; // the page scrolls
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 2 ** 0.5 : 2 ** -0.5);
  }

  drag() {
    let from = null;
    this.stage.addEventListener("pointerdown", (event) => {
      if (this.zoom.scale > 1 && event.target.closest(".frame")) {
        from = [event.clientX, event.clientY, event.target.closest(".frame")];
        this.stage.setPointerCapture(event.pointerId);
      }
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [x, y, box] = from;
      this.pan((event.clientX - x) / box.clientWidth, (event.clientY - y) / box.clientHeight);
      from = [event.clientX, event.clientY, box];
    });
    for (const end of ["pointerup", "pointercancel"]) this.stage.addEventListener(end, () => (from = null));
  }

  flags() {
    const found = this.row.cells.flatMap((cell, run) => (cell && this.state.runs[run] ? cell.flags.map((flag) => [cell, run, flag]) : []));
    const place = el("ul", { class: "flags", "aria-label": "Flagged frames" });
    for (const [cell, run, flag] of found) {
      const still = cell.still(flag);
      const text = `${this.data.runs[run]}: ${flag.kind} at ${flag.first.toFixed(2)} s${flag.said ? `, ${flag.said}` : ""}`;
      const go = el(
        "button",
        { type: "button", onclick: () => this.seekTo(flag.first) },
        still ? el("img", { src: still, alt: `the frames before and after, ${text}`, loading: "lazy" }) : null,
        el("span", {}, text),
      );
      go.style.setProperty("--series", colourOf(this.data, run));
      place.append(el("li", {}, go));
    }
    return place;
  }

  /** The frame that begins at a time. */
  seekTo(seconds) {
    this.clock.pause();
    this.clock.seek(Math.round(seconds * this.clock.fps) / this.clock.fps);
  }

  scores() {
    const { data, row } = this;
    const runs = data.runs.map((_, run) => run).filter((run) => row.cells[run] && this.state.runs[run]);
    const lines = data.metrics.map((metric, index) => {
      const values = runs.map((run) => row.cells[run].values[index] ?? null);
      const known = values.filter((value) => value !== null);
      const best = metric.direction === "higher" ? Math.max(...known) : metric.direction === "lower" ? Math.min(...known) : null;
      return el(
        "tr",
        {},
        el("th", { scope: "row", title: metric.id }, metric.name + ({ higher: " ↑", lower: " ↓" }[metric.direction] ?? "")),
        ...values.map((value) => el("td", { class: known.length > 1 && value === best ? "best" : "" }, number(value))),
      );
    });
    const head = el("tr", {}, el("th", { scope: "col", title: "Bold is the best score of this prompt" }, "score of this video"), ...runs.map((run) => el("th", { scope: "col" }, data.runs[run])));
    return el("div", { class: "scroll" }, el("table", { class: "scores" }, el("thead", {}, head), el("tbody", {}, ...lines)));
  }

  async loadCurves() {
    const { row, clock } = this;
    try {
      const sides = (await curvesOf(this.data, row)) ?? [];
      if (this.clock !== clock) return;
      this.release = charts(this.curves, this.data, row, this.data.runs.map((_, run) => sides[run] ?? null), this.state.runs, clock);
    } catch (error) {
      if (this.clock === clock) this.curves.replaceChildren(el("p", { class: "dim" }, `No curves: ${error.message}`));
    }
  }

  star() {
    this.marks.set(this.row, { star: !this.marks.star(this.row) });
    const star = this.dialog.querySelector(".star");
    star.textContent = this.marks.star(this.row) ? "★" : "☆";
    star.setAttribute("aria-pressed", String(this.marks.star(this.row)));
  }

  go(step) {
    const row = this.neighbour(this.row, step);
    if (!row) return;
    this.open(row);
    announce(row.prompt.text);
    this.dialog.querySelector("h3").focus();
  }

  key(event) {
    if (isTyping(event) || !this.clock) return;
    const actions = {
      w: () => this.setView("wipe"),
      d: () => this.setView("difference"),
      a: () => this.setView("side"),
      s: () => this.star(),
      n: () => this.go(1),
      p: () => this.go(-1),
      "+": () => this.zoomBy(2),
      "=": () => this.zoomBy(2),
      "-": () => this.zoomBy(0.5),
      0: () => this.zoomBy(0),
    };
    if (playbackKey(this.clock, event)) return;
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }
}
