// Plays a WAV from its URL: while it is being produced through Web Audio, chunk by chunk, and once it is complete through
// an <audio> element, which can seek. Shows the sentences and marks the current one.
//
// A player belongs to a URL, not to an element: Streamlit removes the element when another tab or language is shown. A
// player that is playing then continues, with a button to pause it at the bottom of the page, and returns to its element
// when that is shown again.

const HEADER_BYTES = 44;
const AHEAD_S = 0.15; // between a chunk's arrival and its playback
const MOST_AHEAD_S = 60; // a book is not held in memory: the others wait at the service
const MOST_ATTEMPTS = 5; // without a new byte
const POSITIONS = "speechPositions"; // in the browser's local storage
const MOST_POSITIONS = 50; // of the readings that were listened to last
const STORE_EVERY_S = 2;
const players = (globalThis.speechPlayers ??= new Map()); // by URL
const shown = new WeakMap(); // parent element: player
const begun = (globalThis.speechBegun ??= new Set()); // URLs that have started by themselves, which they do once

export default function ({ data, parentElement }) {
  let player = players.get(data.url);
  if (!player) players.set(data.url, (player = new Player(data)));
  const before = shown.get(parentElement);
  if (before && before !== player) before.close();
  shown.set(parentElement, player);
  player.update(data, parentElement.querySelector(".player"));
  return () => {
    shown.delete(parentElement);
    player.detach();
  };
}

class Player {
  constructor(data) {
    this.url = data.url;
    this.data = data;
    this.chunks = []; // {at: playback time, from: offset in the speech, seconds}
    this.received = 0; // seconds, from the beginning of the speech
    this.sentences = [];
    this.ends = []; // of the sentences that are spoken, in seconds
    this.state = "waiting";
    this.closed = new AbortController();
    this.audio = document.createElement("audio");
    this.audio.controls = true;
    this.audio.hidden = true;
    this.audio.preload = "metadata";
    this.audio.onerror = () => this.audio.hidden || this.fail();
    this.timer = setInterval(() => this.tick(), 100);
    this.stored = storedAt(data.remembered);
    this.heard = this.stored;
    if (data.live && !begun.has(this.url)) this.listen(this.stored);
    begun.add(this.url);
    if (data.marks) this.follow(data.marks);
  }

  update(data, root) {
    this.data = data;
    if (this.root !== root) this.attach(root);
    this.showChapters();
    this.audio.setAttribute("aria-label", data.labels.player);
    if (data.whole && !this.context) this.becomeWhole();
    this.tick();
  }

  attach(root) {
    this.root = root;
    this.button = root.querySelector(".toggle");
    this.button.onclick = () => this.toggle();
    root.querySelector(".retry").onclick = () => this.retry();
    root.querySelector(".stopped button").onclick = () => this.restart();
    this.chapters = undefined;
    this.hideDock();
    const playing = !this.audio.paused;
    root.querySelector(".whole").replaceChildren(this.audio);
    if (playing) this.audio.play();
    this.marked = undefined;
    this.showSentences();
  }

  // The element was removed: a player that is playing continues, every other one ends.
  detach() {
    this.root = undefined;
    if (this.state === "playing") this.showDock();
    else if (!this.context) this.close();
  }

  // Plays from this time on while the speech is being produced. A broken connection is resumed where it broke.
  async listen(from) {
    this.stopContext();
    const context = (this.context = new AudioContext());
    this.listening = new AbortController();
    this.complete = false;
    this.chunks = [];
    this.received = from;
    let attempts = 0;
    while (this.context === context && !this.complete) {
      const before = this.received;
      try {
        await this.receive(context, this.listening.signal);
      } catch (error) {
        if (this.context !== context || error.name === "AbortError") return;
        attempts = this.received > before ? 1 : attempts + 1;
        if (error instanceof Gone || attempts >= MOST_ATTEMPTS) return this.fail();
        await sleep(300 * 2 ** attempts);
      }
    }
  }

  async receive(context, signal) {
    if (this.received && !this.rate) await this.readRate();
    const first = this.rate ? 2 * Math.round(this.received * this.rate) : 0;
    const answer = await fetched(first ? withQuery(this.url, `from=${first}`) : this.url, signal);
    let rest = new Uint8Array();
    let header = false;
    let left = 0; // bytes of PCM; metadata can follow them
    for (const reader = answer.body.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (this.context !== context) return;
      if (done) break;
      rest = joined(rest, value);
      if (!header && rest.length >= HEADER_BYTES) {
        header = true;
        this.rate = new DataView(rest.buffer).getUint32(24, true);
        left = new DataView(rest.buffer).getUint32(40, true);
        rest = rest.slice(HEADER_BYTES);
      }
      if (header) rest = rest.slice(0, left);
      if (header && rest.length >= 2) {
        left -= rest.length - (rest.length % 2);
        rest = this.play(rest, this.rate);
      }
      while (this.context === context && this.received - this.position() > MOST_AHEAD_S) await sleep(500);
    }
    this.complete = true;
  }

  // Reads the header of the WAV alone: a position in bytes needs the sample rate.
  async readRate() {
    const reading = new AbortController();
    const reader = (await fetched(this.url, reading.signal)).body.getReader();
    let header = new Uint8Array();
    while (header.length < HEADER_BYTES) {
      const { value, done } = await reader.read();
      if (done) throw new Error("no header");
      header = joined(header, value);
    }
    reading.abort();
    this.rate = new DataView(header.buffer).getUint32(24, true);
  }

  // Puts samples behind those that were put before; returns the odd byte that is left.
  play(bytes, rate) {
    const count = bytes.length >> 1;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const buffer = this.context.createBuffer(1, count, rate);
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < count; i++) samples[i] = view.getInt16(2 * i, true) / 32768;
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    const last = this.chunks.at(-1);
    const follows = last ? last.at + last.seconds : 0;
    const at = Math.max(follows, this.context.currentTime + (follows > this.context.currentTime ? 0 : AHEAD_S));
    source.start(at);
    this.chunks.push({ at, from: this.received, seconds: buffer.duration });
    this.received += buffer.duration;
    return bytes.slice(2 * count);
  }

  position() {
    if (!this.context) return this.audio.hidden ? this.heard ?? 0 : this.audio.currentTime;
    const now = this.context.currentTime;
    while (this.chunks.length > 1 && this.chunks[1].at <= now) this.chunks.shift();
    const [piece] = this.chunks;
    return piece ? piece.from + Math.min(Math.max(now - piece.at, 0), piece.seconds) : this.received;
  }

  tick() {
    const heard = this.position();
    this.heard = heard;
    if (this.context && this.chunks.length) {
      const over = this.complete && heard >= this.received - 0.01;
      this.enter(over ? "ended" : this.context.state === "running" ? "playing" : "paused");
      if (over) this.becomeWhole();
    } else if (this.context && this.complete) {
      this.becomeWhole(); // nothing came
    } else if (!this.context && !this.audio.hidden) {
      this.enter(this.audio.ended ? "ended" : this.audio.paused ? "ready" : "playing");
    }
    this.remember(heard);
    if (!this.root) return;
    this.show(heard);
    this.mark(heard);
  }

  enter(state) {
    if (state === this.state) return;
    this.state = state;
    if (state === "playing") for (const other of players.values()) if (other !== this) other.pause();
    if (state !== "playing" && !this.root) {
      this.hideDock();
      if (state === "ended" && !this.context) this.close();
    }
  }

  // Stores where the user is, in this browser, and forgets it at the end.
  remember(heard) {
    const name = this.data.remembered;
    if (!name) return;
    if (this.state === "playing") this.stored = undefined;
    if (this.state === "playing" && Math.abs(heard - (this.noted ?? 0)) >= STORE_EVERY_S) {
      this.noted = heard;
      store(name, heard);
    } else if (this.state === "ended" && this.noted !== undefined) {
      this.noted = undefined;
      store(name, undefined);
    }
  }

  restart() {
    this.stored = undefined;
    this.jumpTo(0);
  }

  show(heard) {
    const labels = this.data.labels;
    const live = Boolean(this.context) && this.chunks.length > 0;
    this.root.dataset.state = this.state;
    this.button.hidden = !live;
    this.button.textContent = this.state === "paused" ? labels.resume : labels.pause;
    this.root.querySelector(".time").textContent = live
      ? `${this.written(heard)} s / ${this.written(this.received)} s` : "";
    this.root.dataset.heard = heard.toFixed(2);
    this.root.dataset.received = this.received.toFixed(2);
    this.showStopped();
    const failed = this.state === "failed";
    const retry = this.root.querySelector(".retry");
    retry.hidden = !failed;
    retry.textContent = labels.retry;
    const problem = this.root.querySelector(".problem");
    if (problem.hidden === failed) {
      problem.hidden = !failed;
      problem.textContent = failed ? labels.failed : "";
    }
  }

  showStopped() {
    const stopped = this.root.querySelector(".stopped");
    stopped.hidden = !this.stored;
    if (!this.stored) return;
    const labels = this.data.labels;
    setText(stopped.querySelector("span"), labels.stopped.replace("{time}", clock(this.stored)));
    setText(stopped.querySelector("button"), labels.restart);
  }

  // Each chapter is a button, with its length and a link to it.
  showChapters() {
    const chapters = this.data.chapters ?? [];
    const key = JSON.stringify(chapters);
    if (!this.root || key === this.chapters) return;
    this.chapters = key;
    const list = this.root.querySelector(".chapters");
    list.hidden = !chapters.length;
    list.setAttribute("aria-label", this.data.labels.chapters);
    list.replaceChildren(...chapters.map((chapter) => this.chapterEntry(chapter)));
  }

  chapterEntry({ title, begins, length, href, download }) {
    const entry = document.createElement("li");
    const play = document.createElement("button");
    play.type = "button";
    play.dir = "auto";
    play.textContent = title;
    play.disabled = begins === null;
    play.onclick = () => this.jumpTo(begins);
    const time = document.createElement("span");
    time.textContent = length;
    entry.append(play, time);
    if (href) {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = "MP3";
      link.setAttribute("aria-label", download);
      entry.append(link);
    }
    return entry;
  }

  written(seconds) {
    return seconds.toFixed(1).replace(".", this.data.point);
  }

  toggle() {
    if (this.context?.state === "running") this.context.suspend();
    else this.context?.resume();
  }

  pause() {
    this.context?.suspend();
    this.audio.pause();
  }

  fail() {
    this.stopContext();
    this.audio.hidden = true;
    this.audio.removeAttribute("src");
    this.enter("failed");
    this.tick();
  }

  retry() {
    this.enter("waiting");
    if (this.data.whole) this.becomeWhole();
    else this.listen(this.heard ?? 0);
  }

  becomeWhole() {
    const heard = this.state === "ended" ? 0 : this.heard ?? 0;
    this.stopContext();
    if (!this.data.whole || !this.audio.hidden) return;
    this.audio.src = this.url;
    this.audio.hidden = false;
    if (heard) this.audio.currentTime = heard;
  }

  // Asks where the sentences are until all are known.
  async follow(address) {
    while (!this.closed.signal.aborted) {
      try {
        const answer = await fetch(`${address}?from=${this.ends.length}`, { signal: this.closed.signal });
        if (!answer.ok) return;
        const { sentences, ends, ended } = await answer.json();
        if (!this.sentences.length && sentences.length) {
          this.sentences = sentences;
          this.showSentences();
        }
        this.ends.push(...ends);
        this.tell();
        if (ended && !ends.length) return;
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      await sleep(700);
    }
  }

  // Each sentence is a button. Tab leads to one of them, the arrow keys to the others.
  showSentences() {
    if (!this.root) return;
    const list = this.root.querySelector(".sentences");
    list.setAttribute("aria-label", this.data.labels.sentences);
    list.replaceChildren(...this.sentences.map((text, place) => {
      const sentence = document.createElement("span");
      sentence.textContent = text;
      sentence.dataset.place = place;
      sentence.setAttribute("role", "button");
      sentence.tabIndex = place ? -1 : 0;
      sentence.onclick = () => this.jump(place);
      sentence.onkeydown = (event) => this.press(event, place);
      return sentence;
    }));
    this.tell();
  }

  // Marks the sentences that can be played: those that are spoken, and the one after them.
  tell() {
    for (const sentence of this.root?.querySelectorAll(".sentences span") ?? []) {
      const spoken = Number(sentence.dataset.place) <= this.ends.length;
      if (spoken) sentence.removeAttribute("aria-disabled");
      else sentence.setAttribute("aria-disabled", "true");
    }
  }

  press(event, place) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Enter" || event.key === " ") this.jump(place);
    else if (event.key in steps) this.focus(place + steps[event.key]);
    else return;
    event.preventDefault();
  }

  focus(place) {
    const next = this.root.querySelector(`.sentences span[data-place="${place}"]`);
    if (!next) return;
    for (const sentence of this.root.querySelectorAll(".sentences span")) sentence.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  // Marks the current sentence: the first one that has not ended.
  mark(heard) {
    const silent = ["waiting", "ended", "ready", "failed"].includes(this.state) && !heard;
    const place = silent ? -1 : this.ends.findIndex((end) => heard < end);
    if (place === this.marked) return;
    this.marked = place;
    for (const sentence of this.root.querySelectorAll(".sentences span")) {
      const here = Number(sentence.dataset.place) === place;
      if (here) sentence.setAttribute("aria-current", "true");
      else sentence.removeAttribute("aria-current");
      if (here) this.bringIntoView(sentence);
    }
  }

  // Scrolls the sentences and never the page, which may show something else by now.
  bringIntoView(sentence) {
    const list = sentence.parentElement;
    const place = sentence.getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    if (place.top < frame.top || place.bottom > frame.bottom) list.scrollTop += place.top - frame.top - 20;
  }

  jump(place) {
    if (place > this.ends.length) return;
    this.jumpTo(place ? this.ends[place - 1] : 0);
  }

  jumpTo(at) {
    if (this.audio.hidden) {
      if (this.data.live) this.listen(at);
      return;
    }
    this.audio.currentTime = at;
    this.audio.play();
  }

  // A button at the bottom of the page, while a player whose element is not shown is playing.
  showDock() {
    const dock = document.createElement("button");
    dock.type = "button";
    dock.dataset.testid = "playing-elsewhere";
    dock.textContent = this.data.labels.pause_elsewhere;
    dock.style.cssText = "position:fixed;inset-block-end:1rem;inset-inline-end:1rem;z-index:1000;min-height:2.75rem;"
      + "padding:.5rem 1rem;border:0;border-radius:.5rem;background:#0b6e62;color:#fff;font:inherit;cursor:pointer";
    dock.onclick = () => this.pause();
    const wasPlaying = !this.context;
    document.body.append(dock, this.audio);
    if (wasPlaying) this.audio.play(); // it was paused as its element was removed
    this.dock = dock;
  }

  hideDock() {
    this.dock?.remove();
    this.dock = undefined;
  }

  stopContext() {
    this.listening?.abort();
    this.context?.close();
    this.context = undefined;
  }

  close() {
    clearInterval(this.timer);
    this.closed.abort();
    this.stopContext();
    this.hideDock();
    this.audio.pause();
    this.audio.remove();
    if (players.get(this.url) === this) players.delete(this.url);
  }
}

class Gone extends Error {}

async function fetched(url, signal) {
  const answer = await fetch(url, { signal });
  if (answer.status === 404) throw new Gone();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer;
}

function withQuery(url, query) {
  return `${url}${url.includes("?") ? "&" : "?"}${query}`;
}

// Positions are in this browser only: {name: [seconds, when it was stored]}.
function positions() {
  try {
    return JSON.parse(localStorage.getItem(POSITIONS)) ?? {};
  } catch {
    return {}; // not allowed, or written by something else
  }
}

function storedAt(name) {
  const [seconds] = (name && positions()[name]) || [];
  return Number.isFinite(seconds) ? seconds : 0;
}

function store(name, seconds) {
  const all = positions();
  delete all[name];
  if (seconds !== undefined) all[name] = [Math.round(seconds * 10) / 10, Date.now()];
  const latest = Object.entries(all).sort(([, a], [, b]) => b[1] - a[1]).slice(0, MOST_POSITIONS);
  try {
    localStorage.setItem(POSITIONS, JSON.stringify(Object.fromEntries(latest)));
  } catch {
    // not allowed, or full: the reading begins at its beginning after a reload
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${parts.join(":")}` : parts.join(":");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
