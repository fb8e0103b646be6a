/** Curves over the frames of a row's videos, under the players: a click seeks, the playhead moves along. */

import { el } from "./dom.js";

const HEIGHT = 130;

/** A model's colour: that of the figures. */
export function colourOf(data, run) {
  return data.colours[run % data.colours.length];
}

/** One time axis for curves of several rates: [times, values of each run…] with gaps. */
function aligned(curve, sides) {
  const times = new Set();
  const lines = sides.map((side) => {
    const values = side?.[1][curve.name];
    if (!values) return null;
    const [fps, , times] = side;
    const at = (frame) => (times ? times[frame] : Math.round((frame / fps) * 1e4) / 1e4);
    return new Map(values.map((value, k) => [at(k + (curve.between ? 1 : 0)), value]));
  });
  for (const line of lines) for (const time of line?.keys() ?? []) times.add(time);
  const axis = [...times].sort((a, b) => a - b);
  return [axis, ...lines.map((line) => axis.map((time) => line?.get(time)))];
}

/** Fill `place` with a chart for every curve that a video has. Gives a function that lets go of them. */
export function charts(place, data, row, sides, shown, clock) {
  const ink = getComputedStyle(document.body);
  const colour = (name) => ink.getPropertyValue(name).trim();
  const made = [];
  place.replaceChildren();
  const kept = sides.map((side, run) => (shown[run] ? side : null));
  const there = data.curves.filter((curve) => kept.some((side) => side?.[1][curve.name]));
  if (there.length) {
    const names = data.runs.flatMap((run, k) => {
      if (!kept[k]) return [];
      const name = el("span", {}, run);
      name.style.setProperty("--series", colourOf(data, k));
      return [name];
    });
    place.append(el("p", { class: "legend" }, ...names));
  }
  // All boxes first: a chart takes the width that its box has beside the others.
  const boxes = there.map((curve) => {
    const box = el("div", { class: "chart" });
    place.append(el("section", {}, el("h4", {}, curve.title), box));
    return box;
  });
  for (const [number, curve] of there.entries()) {
    const box = boxes[number];
    const values = aligned(curve, kept);
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, gap: 2, font: "11px system-ui" };
    const chart = new globalThis.uPlot(
      {
        width: Math.max(240, box.clientWidth || place.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 5 } },
        scales: { x: { time: false, range: () => [0, Math.max(clock.duration, values[0].at(-1) ?? 0, 0.1)] } },
        axes: [{ ...axis, size: 22, values: (_, ticks) => ticks.map((x) => `${Number(x.toFixed(2))} s`) }, { ...axis, size: 52 }],
        series: [
          {},
          ...data.runs.map((run, k) => ({ label: run, stroke: colourOf(data, k), width: 1.5, spanGaps: true, points: { show: false } })),
        ],
        hooks: {
          draw: [
            (plot) => {
              drawFlags(plot, curve, row, shown, data);
              drawPlayhead(plot, clock, colour("--ink"));
            },
          ],
        },
      },
      values,
      box,
    );
    chart.over.addEventListener("click", () => {
      const at = chart.posToVal(chart.cursor.left, "x");
      clock.pause();
      clock.seek((Math.floor(at * clock.fps + 0.5)) / clock.fps);
    });
    made.push(chart);
  }
  let waiting = false;
  const follow = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const chart of made) chart.redraw(false);
    });
  };
  const resize = () => {
    for (const chart of made) chart.setSize({ width: Math.max(240, chart.root.parentElement.clientWidth), height: HEIGHT });
  };
  clock.addEventListener("change", follow);
  addEventListener("resize", resize);
  if (!made.length) place.append(el("p", { class: "dim" }, "No curves: the features of these videos are not stored beside their scores."));
  return () => {
    clock.removeEventListener("change", follow);
    removeEventListener("resize", resize);
    for (const chart of made) chart.destroy();
    made.length = 0;
  };
}

function drawPlayhead(plot, clock, colour) {
  const x = plot.valToPos(clock.frame / clock.fps, "x", true);
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

const SHOWN_ON = { freeze: ["change", "flow"], cut: ["content", "ssim"], "flicker burst": ["warp"] };

function drawFlags(plot, curve, row, shown, data) {
  const { ctx, bbox } = plot;
  row.cells.forEach((cell, run) => {
    if (!shown[run]) return;
    for (const flag of cell?.flags ?? []) {
      if (SHOWN_ON[flag.kind] && !SHOWN_ON[flag.kind].includes(curve.name)) continue;
      const from = plot.valToPos(flag.first, "x", true);
      const to = Math.max(plot.valToPos(flag.last, "x", true), from + 3 * devicePixelRatio);
      ctx.save();
      ctx.globalAlpha = 0.85;
      ctx.fillStyle = colourOf(data, run);
      ctx.fillRect(from, bbox.top + run * 4 * devicePixelRatio, to - from, 3 * devicePixelRatio);
      ctx.restore();
    }
  });
}
