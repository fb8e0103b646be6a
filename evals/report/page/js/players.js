/** The videos of a row as figures that one clock leads. */

import { Clock } from "./clock.js";
import { el } from "./dom.js";

/** A box for a cell: its poster, or why there is no video. */
export function frame(cell) {
  const box = el("div", { class: "frame" });
  if (cell?.name) box.append(el("img", { src: cell.poster, alt: "", loading: "lazy", decoding: "async" }));
  else {
    const why = cell ? (cell.status === "ok" ? cell.why || "no copy of this video here" : `${cell.status}: ${cell.why}`) : "not asked for";
    box.append(el("p", { class: "none" }, why));
  }
  return box;
}

/** Put videos into the boxes of cells that have one; gives their clock. `boxes` are [cell, box]. */
export function players(boxes) {
  const clock = new Clock();
  for (const [cell, box] of boxes) {
    if (!cell?.name) continue;
    const video = el("video", { src: cell.video, poster: cell.poster, preload: "auto", playsinline: true, tabindex: -1 });
    video.muted = true;
    video.defaultMuted = true;
    const end = el("span", { class: "end", hidden: true }, "ended");
    box.replaceChildren(video, end);
    box.track = clock.add(video, cell.fps, cell.frames, (state) => {
      end.hidden = state === "on";
      end.textContent = state === "before" ? "not begun" : "ended";
    });
  }
  return clock;
}

/** Back to posters. */
export function posters(boxes) {
  for (const [cell, box] of boxes) {
    if (cell?.name) box.replaceChildren(...frame(cell).childNodes);
  }
}
