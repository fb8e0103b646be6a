/** Play, pause, step, scrub, speed, loop: the controls of a clock, in a place of their own. */

import { button, el, select } from "./dom.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2];

export function transport(clock) {
  const play = button("▶", "Play or pause (space)", () => clock.toggle(), { class: "play" });
  const scrub = el("input", {
    type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Frame",
    oninput: () => {
      clock.pause();
      clock.seek(Number(scrub.value) / clock.fps);
    },
  });
  const told = el("output", { class: "time" });
  const loop = el("input", { type: "checkbox", onchange: () => (clock.loop = loop.checked) });
  loop.checked = clock.loop;
  const speed = select("Speed", SPEEDS.map((x) => [String(x), `${x}×`]), "1", (value) => (clock.rate = Number(value)));
  const update = () => {
    play.textContent = clock.running ? "❚❚" : "▶";
    scrub.max = String(clock.frames - 1);
    scrub.value = String(clock.frame);
    told.textContent = `${clock.time.toFixed(2)} s · frame ${clock.frame + 1}/${clock.frames}`;
    scrub.setAttribute("aria-valuetext", told.textContent);
  };
  clock.addEventListener("change", update);
  update();
  return el(
    "div",
    { class: "transport", role: "group", "aria-label": "Playback" },
    play,
    button("−1", "One frame back (←)", () => clock.step(-1), { class: "back" }),
    button("+1", "One frame on (→)", () => clock.step(1), { class: "on" }),
    scrub,
    told,
    speed,
    el("label", {}, loop, " loop"),
  );
}

/** Playback by keys; gives whether the key was one. */
export function playbackKey(clock, event) {
  const far = event.shiftKey ? 10 : 1;
  const actions = {
    " ": () => clock.toggle(),
    k: () => clock.toggle(),
    ArrowLeft: () => clock.step(-far),
    ArrowRight: () => clock.step(far),
    Home: () => clock.seek(0),
    End: () => clock.seek(clock.duration),
  };
  const action = actions[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return false;
  // The keys of a control that has the focus are its own.
  const held = event.target;
  if (held.matches("input[type=range]") || (event.key === " " && held.matches("button, summary, input, a"))) return false;
  event.preventDefault();
  action();
  return true;
}
