/** The viewer's table as objects, and scripts of the report's own folder as values. */

import { number } from "./dom.js";

const loading = new Map();

/** The value that a script beside the page hands over under `name`; each is loaded once. */
export function handedOver(name) {
  const held = globalThis.t2vEvals?.[name];
  if (held !== undefined) return Promise.resolve(held);
  if (!loading.has(name)) {
    loading.set(
      name,
      new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.addEventListener("load", () => resolve(globalThis.t2vEvals?.[name]));
        script.addEventListener("error", () =>
          reject(new Error(`data/${name}.js cannot be read: keep the folder data beside the page`)),
        );
        document.head.append(script);
      }),
    );
  }
  return loading.get(name);
}

/** Where a file of `media/` is: beside the page, or inside it. */
function place(name) {
  return globalThis.t2vEvals?.files?.[name] ?? `media/${name}`;
}

/** A video of a model, or why there is none. */
class Cell {
  constructor(run, raw) {
    this.run = run;
    [this.status, this.why, this.name, this.original, this.fps, this.frames, this.width, this.height, this.variable] = raw;
    this.flags = raw[9].map(([kind, first, last, still, said]) => ({ kind, first, last, still, said }));
    this.values = raw[10];
  }

  /** Size, frames and rate for people. */
  get facts() {
    const rate = this.variable ? "variable rate" : `${number(this.fps)} fps`;
    return `${this.width}×${this.height}, ${this.variable ? "" : `${this.frames} frames, `}${rate}`;
  }

  get video() {
    return this.name ? place(`${this.name}.mp4`) : "";
  }

  get poster() {
    return this.name ? place(`${this.name}.jpg`) : "";
  }

  get duration() {
    return this.fps ? this.frames / this.fps : 0;
  }

  still(flag) {
    return flag.still >= 0 ? place(`${this.name}-${flag.still}.jpg`) : "";
  }
}

/** The table: `runs`, `metrics`, `rows`. A row's `cells` are in the order of runs; null is "not asked for". */
export function decoded(raw) {
  const prompts = raw.prompts.map(([id, text, category, tags]) => ({ id, text, category, tags }));
  const rows = raw.rows.map(([prompt, seed, apart, cells], number) => ({
    number,
    prompt: prompts[prompt],
    seed,
    apart,
    cells: cells.map((cell, run) => cell && new Cell(run, cell)),
    get key() {
      return `${this.prompt.id}/${this.seed}`;
    },
  }));
  return { ...raw, prompts, rows };
}

/** The curves of a row: by run, [frames per second, {curve: values}] or null. */
export async function curvesOf(data, row) {
  const piece = await handedOver(`curves-${String(Math.floor(row.number / data.perFile)).padStart(3, "0")}`);
  return piece?.[row.number] ?? null;
}
