// Plays a WAV from its URL: while it is being produced through Web Audio, chunk by chunk, and once it is complete through
// an <audio> element, which can seek. Shows the sentences and marks the current one.

const HEADER_BYTES = 44;
const AHEAD_S = 0.15; // between a chunk's arrival and its playback
const MOST_AHEAD_S = 60; // a book is not held in memory: the others wait at the service
const players = new WeakMap();

export default function ({ data, parentElement }) {
  let player = players.get(parentElement);
  if (!player || player.url !== data.url) {
    player?.close();
    player = new Player(parentElement.querySelector(".player"), data);
    players.set(parentElement, player);
  }
  player.update(data);
  return () => {
    player.close();
    players.delete(parentElement);
  };
}

class Player {
  constructor(root, data) {
    this.root = root;
    this.url = data.url;
    this.chunks = []; // {at: playback time, from: offset in the speech, seconds}
    this.received = 0; // seconds
    this.sentences = [];
    this.ends = []; // of the sentences that are spoken, in seconds
    root.querySelector(".sentences").replaceChildren();
    this.aborted = new AbortController();
    this.audio = root.querySelector("audio");
    this.button = root.querySelector("button");
    this.button.onclick = () => this.toggle();
    this.root.dataset.state = "waiting";
    this.audio.hidden = true;
    this.audio.removeAttribute("src");
    this.timer = setInterval(() => this.tick(), 100);
    if (data.live) this.listen();
    if (data.marks) this.follow(data.marks);
  }

  update(data) {
    this.data = data;
    this.audio.setAttribute("aria-label", data.labels.player);
    if (data.whole && !this.context) this.becomeWhole();
    this.tick();
  }

  async listen() {
    try {
      this.context = new AudioContext();
      const answer = await fetch(this.url, { signal: this.aborted.signal });
      let rest = new Uint8Array();
      let rate = 0;
      for (const reader = answer.body.getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        rest = joined(rest, value);
        if (!rate && rest.length >= HEADER_BYTES) {
          rate = new DataView(rest.buffer).getUint32(24, true);
          rest = rest.slice(HEADER_BYTES);
        }
        if (rate && rest.length >= 2) rest = this.play(rest, rate);
        while (this.context && this.received - this.position() > MOST_AHEAD_S) await sleep(500);
        if (!this.context) return;
      }
    } catch (error) {
      if (error.name !== "AbortError") this.root.dataset.state = "failed";
    } finally {
      this.complete = true;
    }
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
    if (!this.context) return this.audio.currentTime;
    const now = this.context.currentTime;
    while (this.chunks.length > 1 && this.chunks[1].at <= now) this.chunks.shift();
    const [piece] = this.chunks;
    return piece ? piece.from + Math.min(Math.max(now - piece.at, 0), piece.seconds) : 0;
  }

  tick() {
    const heard = this.position();
    if (this.context && this.chunks.length) {
      const over = this.complete && heard >= this.received - 0.01;
      this.root.dataset.state = over ? "ended" : this.context.state === "running" ? "playing" : "paused";
      if (over) this.becomeWhole();
    } else if (!this.context && !this.audio.hidden) {
      this.root.dataset.state = this.audio.ended ? "ended" : this.audio.paused ? "ready" : "playing";
    }
    const labels = this.data.labels;
    const live = Boolean(this.context);
    this.button.hidden = !live || !this.chunks.length;
    this.button.textContent = this.root.dataset.state === "paused" ? labels.resume : labels.pause;
    this.root.querySelector(".time").textContent = live && this.chunks.length
      ? `${heard.toFixed(1)} s / ${this.received.toFixed(1)} s` : "";
    this.root.dataset.heard = heard.toFixed(2);
    this.root.dataset.received = this.received.toFixed(2);
    this.mark(heard);
  }

  toggle() {
    if (this.context?.state === "running") this.context.suspend();
    else this.context?.resume();
  }

  becomeWhole() {
    this.stopContext();
    if (!this.data.whole || !this.audio.hidden) return;
    this.audio.src = this.url;
    this.audio.hidden = false;
  }

  // Asks where the sentences are until all are known.
  async follow(address) {
    while (!this.aborted.signal.aborted) {
      try {
        const answer = await fetch(`${address}?from=${this.ends.length}`, { signal: this.aborted.signal });
        if (!answer.ok) return;
        const { sentences, ends, ended } = await answer.json();
        if (!this.sentences.length) this.showSentences(sentences);
        this.ends.push(...ends);
        if (ended && !ends.length) return;
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      await sleep(700);
    }
  }

  showSentences(sentences) {
    this.sentences = sentences;
    const list = this.root.querySelector(".sentences");
    list.replaceChildren(...sentences.map((text, place) => {
      const sentence = document.createElement("span");
      sentence.textContent = text;
      sentence.dataset.place = place;
      sentence.onclick = () => this.jump(place);
      return sentence;
    }));
  }

  // Marks the current sentence: the first one that has not ended.
  mark(heard) {
    const silent = ["waiting", "ended", "ready"].includes(this.root.dataset.state) && !heard;
    const place = silent ? -1 : this.ends.findIndex((end) => heard < end);
    if (place === this.marked) return;
    this.marked = place;
    for (const sentence of this.root.querySelectorAll(".sentences span")) {
      const here = Number(sentence.dataset.place) === place;
      sentence.toggleAttribute("aria-current", here);
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
    if (this.audio.hidden || place > this.ends.length) return;
    this.audio.currentTime = place ? this.ends[place - 1] : 0;
    this.audio.play();
  }

  stopContext() {
    this.context?.close();
    this.context = undefined;
  }

  close() {
    clearInterval(this.timer);
    this.aborted.abort();
    this.stopContext();
    this.audio.pause();
  }
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
