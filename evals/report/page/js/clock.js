/** One time for several videos. The clock leads; every video follows it, corrected by its speed, or by a jump
 * where it is far off. A video that is shorter holds its last frame. */

const FAR = 0.3; // seconds
const PULL = 2; // of the distance per second that a video's speed makes up
let playing = null; // one clock plays at a time

export class Clock extends EventTarget {
  constructor() {
    super();
    this.tracks = [];
    this.time = 0;
    this.rate = 1;
    this.loop = true;
    this.running = false;
    this.tick = this.tick.bind(this);
  }

  /** Lead a video of `frames` frames at `fps`; `onstate` is told `before`, `on` or `ended`. */
  add(video, fps, frames, onstate) {
    const track = { video, fps, frames, shift: 0, state: "", wanted: null, onstate };
    video.addEventListener("seeked", () => {
      if (track.wanted !== null) this.jump(track, track.wanted);
    });
    this.tracks.push(track);
    return track;
  }

  get duration() {
    return Math.max(0, ...this.tracks.map((track) => track.frames / track.fps - track.shift));
  }

  get fps() {
    return Math.max(1, ...this.tracks.map((track) => track.fps));
  }

  get frames() {
    return Math.max(1, Math.round(this.duration * this.fps));
  }

  get frame() {
    return Math.min(this.frames - 1, Math.floor(this.time * this.fps + 1e-6));
  }

  /** The frame of a track that is due. */
  due(track) {
    const frame = Math.floor((this.time + track.shift) * track.fps + 1e-6);
    return Math.min(Math.max(frame, 0), track.frames - 1);
  }

  toggle() {
    if (this.running) this.pause();
    else this.play();
  }

  play() {
    if (this.running || !this.tracks.length) return;
    if (playing && playing !== this) playing.pause();
    playing = this;
    if (this.time >= this.duration - 0.5 / this.fps) this.seek(0);
    this.running = true;
    this.last = performance.now();
    this.changed();
    requestAnimationFrame(this.tick);
  }

  pause() {
    if (!this.running) return;
    this.running = false;
    this.seek(this.frame / this.fps);
  }

  /** Go to a time, paused or not. */
  seek(seconds) {
    this.time = Math.min(Math.max(seconds, 0), Math.max(0, this.duration - 1e-6));
    for (const track of this.tracks) {
      if (!this.running) track.video.pause();
      this.jump(track, (this.due(track) + 0.5) / track.fps);
    }
    this.changed();
  }

  step(count) {
    this.pause();
    this.seek(Math.min(Math.max(this.frame + count, 0), this.frames - 1) / this.fps);
  }

  shift(track, frames) {
    track.shift = frames / track.fps;
    this.seek(this.time);
  }

  jump(track, to) {
    const { video } = track;
    if (video.seeking || video.readyState < 1) {
      track.wanted = to;
      if (video.readyState < 1) video.addEventListener("loadedmetadata", () => this.jump(track, track.wanted ?? to), { once: true });
      return;
    }
    track.wanted = null;
    if (Math.abs(video.currentTime - to) > 1e-4) video.currentTime = to;
  }

  /** Follow the wall clock while all that play have something to show. */
  tick(now) {
    if (!this.running) return;
    const passed = Math.min(0.25, Math.max(0, (now - this.last) / 1000)) * this.rate;
    this.last = now;
    const active = this.tracks.filter((track) => this.isOn(track));
    if (active.some(({ video }) => video.readyState < 3 || video.seeking)) {
      for (const { video } of active) video.pause();
    } else {
      this.time += passed;
      if (this.time >= this.duration) {
        if (this.loop) this.seek(0);
        else {
          this.running = false;
          this.seek(this.duration);
          return;
        }
      }
      for (const track of this.tracks) this.follow(track);
    }
    this.changed();
    requestAnimationFrame(this.tick);
  }

  isOn(track) {
    const local = this.time + track.shift;
    return local >= 0 && local < (track.frames - 0.5) / track.fps;
  }

  follow(track) {
    const { video, fps } = track;
    if (!this.isOn(track)) {
      video.pause();
      this.jump(track, (this.due(track) + 0.5) / fps);
      return;
    }
    const off = video.currentTime - (this.time + track.shift);
    if (Math.abs(off) > FAR) this.jump(track, this.time + track.shift);
    const pull = Math.abs(off) > 0.2 / fps ? Math.min(Math.max(off * PULL, -0.4), 0.4) : 0;
    const rate = this.rate * (1 - pull);
    if (Math.abs(video.playbackRate - rate) > 0.01) video.playbackRate = rate;
    if (video.paused) video.play().catch(() => {});
  }

  changed() {
    for (const track of this.tracks) {
      const local = this.time + track.shift;
      const state = local < 0 ? "before" : local >= (track.frames - 1e-6) / track.fps && track.frames / track.fps - track.shift < this.duration - 1e-3 ? "ended" : "on";
      if (state !== track.state) {
        track.state = state;
        track.onstate?.(state);
      }
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Let go of everything. */
  close() {
    this.running = false;
    if (playing === this) playing = null;
    for (const { video } of this.tracks) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    this.tracks = [];
  }
}
