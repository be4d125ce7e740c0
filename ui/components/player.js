// Plays a WAV from its address: while it is still being made through Web Audio, piece by piece as it comes, and once it
// is whole through an <audio> element, which can seek. Shows the sentences and marks the one that is heard.

const HEADER_BYTES = 44;
const AHEAD_S = 0.15; // between a piece's arrival and its sound
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
    this.pieces = []; // {at: when it sounds, from: where in the speech, seconds}
    this.received = 0; // seconds
    this.aborted = new AbortController();
    this.audio = root.querySelector("audio");
    this.button = root.querySelector("button");
    this.button.onclick = () => this.toggle();
    this.root.dataset.state = "waiting";
    this.audio.hidden = true;
    this.audio.removeAttribute("src");
    this.timer = setInterval(() => this.tick(), 100);
    if (data.live) this.listen();
  }

  update(data) {
    this.data = data;
    this.audio.setAttribute("aria-label", data.labels.player);
    this.showSentences();
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
    const last = this.pieces.at(-1);
    const follows = last ? last.at + last.seconds : 0;
    const at = Math.max(follows, this.context.currentTime + (follows > this.context.currentTime ? 0 : AHEAD_S));
    source.start(at);
    this.pieces.push({ at, from: this.received, seconds: buffer.duration });
    this.received += buffer.duration;
    return bytes.slice(2 * count);
  }

  position() {
    if (!this.context) return this.audio.currentTime;
    const now = this.context.currentTime;
    let heard = 0;
    for (const piece of this.pieces) {
      if (piece.at > now) break;
      heard = piece.from + Math.min(now - piece.at, piece.seconds);
    }
    return heard;
  }

  tick() {
    const heard = this.position();
    if (this.context && this.pieces.length) {
      const over = this.complete && heard >= this.received - 0.01;
      this.root.dataset.state = over ? "ended" : this.context.state === "running" ? "playing" : "paused";
      if (over) this.becomeWhole();
    } else if (!this.context && !this.audio.hidden) {
      this.root.dataset.state = this.audio.ended ? "ended" : this.audio.paused ? "ready" : "playing";
    }
    const labels = this.data.labels;
    const live = Boolean(this.context);
    this.button.hidden = !live || !this.pieces.length;
    this.button.textContent = this.root.dataset.state === "paused" ? labels.resume : labels.pause;
    this.root.querySelector(".time").textContent = live && this.pieces.length
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

  showSentences() {
    const list = this.root.querySelector(".sentences");
    const sentences = this.data.sentences || [];
    if (list.childElementCount === sentences.length) return;
    list.replaceChildren(...sentences.map((text, place) => {
      const sentence = document.createElement("span");
      sentence.textContent = text;
      sentence.dataset.place = place;
      sentence.onclick = () => this.jump(place);
      return sentence;
    }));
  }

  // Marks the sentence that is heard: the first one that has not ended.
  mark(heard) {
    const ends = this.data.ends || [];
    const silent = ["waiting", "ended", "ready"].includes(this.root.dataset.state) && !heard;
    const place = silent ? -1 : ends.findIndex((end) => heard < end);
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
    if (this.audio.hidden || !this.data.ends) return;
    this.audio.currentTime = place ? this.data.ends[place - 1] : 0;
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

function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
