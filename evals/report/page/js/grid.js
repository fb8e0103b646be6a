/** The prompt × model grid. Only the rows near the screen exist. */

import { button, el, number } from "./dom.js";
import { tellingMetric } from "./order.js";
import { frame, players, posters } from "./players.js";
import { playbackKey, transport } from "./transport.js";

const SPARE = 2; // rows beyond the screen

export class Grid {
  /** `open(row)` is called for the row that a reader wants to see large. */
  constructor(place, data, state, marks, open) {
    Object.assign(this, { place, data, state, marks, open });
    this.rows = [];
    this.made = new Map();
    this.active = null;
    this.height = 0;
    const draw = () => this.draw();
    addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    addEventListener("resize", () => {
      this.height = 0;
      this.show(this.rows);
    });
    marks.addEventListener("change", () => this.restar());
  }

  /** Show these rows, in this order. */
  show(rows) {
    this.rows = rows;
    this.stop();
    for (const [number, node] of this.made) this.drop(number, node);
    if (!this.height && rows.length) this.measure(rows[0]);
    this.place.style.height = `${rows.length * this.height}px`;
    this.place.setAttribute("aria-rowcount", String(rows.length));
    this.draw();
  }

  measure(row) {
    const probe = this.make(row, 0);
    this.place.append(probe);
    this.height = Math.ceil(probe.getBoundingClientRect().height) + 8;
    probe.remove();
  }

  /** Remove a row; a picture without an address lets go of its pixels at once. */
  drop(number, node) {
    for (const image of node.querySelectorAll("img")) image.removeAttribute("src");
    node.remove();
    this.made.delete(number);
  }

  draw() {
    if (!this.rows.length || !this.height) return;
    const top = this.place.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.height) - SPARE);
    const last = Math.min(this.rows.length - 1, Math.ceil((innerHeight - top) / this.height) + SPARE);
    const focused = document.activeElement?.closest?.(".row");
    for (const [number, node] of this.made) {
      if ((number < first || number > last) && node !== focused && node !== this.active?.node) {
        this.drop(number, node);
      }
    }
    for (let number = first; number <= last; number += 1) {
      if (this.made.has(number)) continue;
      const node = this.make(this.rows[number], number);
      this.made.set(number, node);
      const after = [...this.made.keys()].filter((other) => other > number).sort((a, b) => a - b)[0];
      this.place.insertBefore(node, after === undefined ? null : this.made.get(after)); // so that Tab goes down the page
    }
  }

  make(row, number) {
    const boxes = [];
    const tiles = row.cells.map((cell, run) => {
      if (!this.state.runs[run]) return null;
      const box = frame(cell);
      boxes.push([cell, box]);
      return this.tile(row, cell, run, box);
    });
    const slot = el("div", { class: "slot" }, el("span", { class: "dim facts" }, `${row.prompt.category} · ${row.prompt.id} · seed ${row.seed}`));
    const node = el(
      "article",
      { class: "row", "aria-rowindex": number + 1, "aria-label": row.prompt.text },
      el(
        "header",
        {},
        this.starButton(row),
        el("button", { type: "button", class: "prompt", title: row.prompt.text, onclick: () => this.open(row) }, row.prompt.text),
      ),
      slot,
      el("div", { class: "tiles" }, ...tiles),
    );
    node.row = row;
    node.style.transform = `translateY(${number * this.height}px)`;
    if (boxes.some(([cell]) => cell?.name)) {
      slot.append(button("▶ play all", "Play this prompt's videos in step (space)", () => this.start(node, slot, boxes), { class: "start" }));
    }
    node.addEventListener("keydown", (event) => {
      if (this.active?.node === node) playbackKey(this.active.clock, event);
    });
    return node;
  }

  tile(row, cell, run, box) {
    const label = this.data.runs[run];
    const caption = el("figcaption", {}, el("b", { title: label }, label));
    // Of "any metric" the one that made the row come first.
    const index = this.state.metric === "any" ? tellingMetric(this.data, this.state, row) : Number(this.state.metric);
    if (cell?.status === "ok" && index >= 0) {
      const { name, direction } = this.data.metrics[index];
      const arrow = { higher: " ↑", lower: " ↓" }[direction] ?? "";
      caption.append(el("span", { class: "score" }, `${name}${arrow} ${number(cell.values[index])}`));
    } else if (cell?.status === "ok") {
      caption.append(el("span", { class: "dim" }, cell.facts));
    } else if (cell) caption.append(el("span", { class: "status" }, cell.status));
    if (cell?.flags.length) {
      const kinds = [...new Set(cell.flags.map((flag) => flag.kind))];
      caption.append(el("span", { class: "flag" }, kinds.join(", ")));
    }
    return el("figure", { class: "tile", onclick: () => this.open(row) }, box, caption);
  }

  starButton(row) {
    const star = button("", "", () => {
      this.marks.set(row, { star: !this.marks.star(row) });
    }, { class: "star" });
    paintStar(star, this.marks.star(row));
    return star;
  }

  restar() {
    for (const node of this.made.values()) paintStar(node.querySelector(".star"), this.marks.star(node.row));
  }

  start(node, slot, boxes) {
    this.stop();
    const clock = players(boxes);
    const idle = [...slot.childNodes];
    slot.replaceChildren(transport(clock));
    slot.classList.add("playing");
    this.active = { node, clock, boxes, slot, idle };
    clock.play();
    slot.querySelector(".play")?.focus({ preventScroll: true });
  }

  stop() {
    if (!this.active) return;
    const { clock, boxes, slot, idle } = this.active;
    clock.close();
    posters(boxes);
    slot.classList.remove("playing");
    slot.replaceChildren(...idle);
    this.active = null;
  }
}

function paintStar(node, on) {
  node.textContent = on ? "★" : "☆";
  node.setAttribute("aria-pressed", String(on));
  node.setAttribute("aria-label", "Star");
  node.title = on ? "Starred" : "Star";
}
