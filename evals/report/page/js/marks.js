/** Stars and comments: kept by the browser for this comparison, and exported as JSON. */

export class Marks extends EventTarget {
  constructor(id) {
    super();
    this.name = `t2v-evals:${id}`;
    this.found = {};
    try {
      const held = JSON.parse(localStorage.getItem(this.name) ?? "{}");
      if (held && typeof held === "object") this.found = held;
    } catch {
      // A browser that keeps nothing, or something that is not ours: start empty.
    }
  }

  star(row) {
    return Boolean(this.found[row.key]?.star);
  }

  comment(row) {
    return String(this.found[row.key]?.comment ?? "");
  }

  set(row, change) {
    const mark = { ...this.found[row.key], ...change };
    if (mark.star || mark.comment) this.found[row.key] = mark;
    else delete this.found[row.key];
    try {
      localStorage.setItem(this.name, JSON.stringify(this.found));
    } catch {
      // Kept until the page is closed.
    }
    this.dispatchEvent(new Event("change"));
  }

  /** What is exported: a list of prompt, seed, star and comment. */
  list(data) {
    return data.rows
      .filter((row) => this.found[row.key])
      .map((row) => ({
        prompt_id: row.prompt.id,
        prompt: row.prompt.text,
        seed: row.seed,
        star: this.star(row),
        comment: this.comment(row),
      }));
  }

  download(data) {
    const text = JSON.stringify({ runs: data.runs, marks: this.list(data) }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "marks.json";
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
