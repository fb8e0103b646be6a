// One trial at a time: show both videos, take a vote, ask for the next.

const at = (id) => document.getElementById(id);
const videos = [at("left"), at("right")];
const buttons = [...document.querySelectorAll("[data-choice]")];
let trial = null;
let started = 0;
let sending = false;
const seen = new Set(); // videos that were shown once
const broken = new Set();

function say(text) {
  at("said").textContent = text;
}

function show(found) {
  at("question").textContent = found.question;
  at("bar").max = Math.max(found.total, 1);
  at("bar").value = found.done;
  at("progress").textContent = `${found.done} of ${found.total}`;
  trial = found.trial;
  at("pair").hidden = at("votes").hidden = trial === null;
  at("prompt").textContent = trial === null ? "That was all. Thank you." : found.prompt;
  for (const button of buttons) button.disabled = true;
  seen.clear();
  broken.clear();
  if (trial === null) {
    for (const video of videos) video.removeAttribute("src");
    return;
  }
  at("left").src = `clip/${found.left}`;
  at("right").src = `clip/${found.right}`;
  started = performance.now();
  again();
}

function again() {
  for (const video of videos) {
    video.currentTime = 0;
    video.play().catch(() => {});
  }
}

function pause() {
  const playing = videos.some((video) => !video.paused && !video.ended);
  for (const video of videos) {
    if (playing) video.pause();
    else video.play().catch(() => {});
  }
}

function whenShown(video) {
  seen.add(video.id);
  allow();
  if (videos.every((one) => one.ended || one.paused || broken.has(one.id))) again();
}

// Both were shown once, or one was and the other cannot be.
function allow() {
  if (seen.size > 0 && seen.size + broken.size >= videos.length) {
    for (const button of buttons) button.disabled = false;
  }
}

async function vote(choice) {
  if (trial === null || sending || buttons[0].disabled) return;
  sending = true;
  const seconds = Math.round((performance.now() - started) / 10) / 100;
  try {
    const answer = await fetch("vote", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ trial, choice, seconds }),
    });
    const found = await answer.json();
    if (answer.ok) {
      say("Saved.");
      show(found);
    } else if (answer.status === 409) {
      say("This pair is not open any more; here is the one that is.");
      await load();
    } else {
      say(`The vote was not saved: ${found.error}`);
    }
  } catch {
    say("The vote was not saved: the server does not answer. Try again in a moment.");
  } finally {
    sending = false;
  }
}

async function load() {
  try {
    const answer = await fetch("trial");
    if (answer.ok) show(await answer.json());
    else say("This link is not valid.");
  } catch {
    say("The server does not answer. Reload the page in a moment.");
  }
}

for (const video of videos) {
  video.addEventListener("ended", () => whenShown(video));
  video.addEventListener("error", () => {
    if (trial === null) return;
    say("A video cannot be played here. Reload the page, or vote by what you see.");
    broken.add(video.id);
    allow();
  });
}
for (const button of buttons) button.addEventListener("click", () => vote(button.dataset.choice));
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = { ArrowLeft: "left", ArrowRight: "right", t: "tie", T: "tie" }[event.key];
  if (choice) vote(choice);
  else if (event.key === " " && event.target.tagName !== "BUTTON") pause();
  else if (event.key === "r" || event.key === "R") again();
  else return;
  event.preventDefault();
});
load();
