// Speaks a text over NATS alone, without HTTP, by the contract of docs/wire.md. Node 20 or later.
//
//     cd examples && npm ci
//     node nats_client.mjs nats://127.0.0.1:4222 reference.wav en "Hello from the bus." speech.wav
//
// The reference is 6 to 30 s of one person speaking, in any usual format. `voice=Anna` in its place names a stored voice
// or a built-in one, and `voice=` alone is the default voice of the language. Ctrl-C cancels the request. The environment
// variables TENANT, ENGINE, NATS_NKEY_SEED_FILE and NATS_CA_FILE are those of nats_client.py.

import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { decode, encode } from "@msgpack/msgpack";
import { jetstream } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

const TENANT = process.env.TENANT || "public";
const WORKERS_WAIT_MS = 3_500; // a worker that sends no heartbeat for that long has stopped
const SILENCE_MS = 3_000; // then events that may be lost are read from the stream
const DEADLINE_MS = 300_000;
const WAV_HEADER_BYTES = 44;

class Refused extends Error {}

// Return the connection options: credentials and TLS.
function access() {
  const options = {};
  if (process.env.NATS_NKEY_SEED_FILE) {
    const seed = readFileSync(process.env.NATS_NKEY_SEED_FILE, "utf8").trim();
    options.authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
    options.inboxPrefix = `_INBOX_tenant-${TENANT}`;
  }
  if (process.env.NATS_CA_FILE) {
    options.tls = { caFile: process.env.NATS_CA_FILE };
  }
  return options;
}

// Return the engine of a worker that is ready for the language, from the workers' heartbeats.
async function engineFor(bus, language) {
  const beats = bus.subscribe("tts.v1.worker.*.*");
  const timer = setTimeout(() => beats.unsubscribe(), WORKERS_WAIT_MS);
  try {
    for await (const message of beats) {
      const worker = decode(message.data);
      if (worker.state === "ready" && worker.languages.includes(language.slice(0, 2).toLowerCase())) {
        return worker.engine;
      }
    }
  } finally {
    clearTimeout(timer);
  }
  throw new Refused(`no worker is ready for the language ${language}`);
}

// Store a recording as a reference clip and return its id.
async function storeClip(bus, recording) {
  const command = encode({ type: "StoreClip", tenant: TENANT, audio: recording });
  const reply = await bus.request(`tts.v1.clip.${TENANT}`, command, { timeout: 120_000 });
  const stored = decode(reply.data);
  if (stored.type === "ClipRefused") {
    throw new Refused(`${stored.code}: ${stored.detail}`);
  }
  return stored.clip;
}

// Return the fields of the request for its speaker: a voice, or clips of a recording.
async function speaker(bus, reference) {
  if (reference.startsWith("voice=")) {
    const voice = reference.slice("voice=".length);
    return voice ? { voice } : {};
  }
  return { clips: [await storeClip(bus, readFileSync(reference))] };
}

// The samples of a request in order, from events in any order and possibly repeated.
class Assembly {
  sentence = 0; // the next one to write
  chunk = 0; // and its chunk
  sentences = Infinity;
  sampleRateHz = 24_000;
  #chunks = new Map();
  #counts = new Map(); // sentence -> how many chunks it has, once it is spoken

  constructor(write) {
    this.write = write;
  }

  get done() {
    return this.sentence >= this.sentences;
  }

  // Take one event. Throws Refused if the request has failed.
  take(event) {
    if (event.type === "SpeechFailed") {
      throw new Refused(`${event.code}: ${event.detail}`);
    }
    if (event.type === "AudioChunk") {
      this.sampleRateHz = event.sample_rate_hz;
      this.#chunks.set(`${event.sentence}.${event.chunk}`, event.pcm);
    }
    if (event.type === "SentenceSpoken") {
      this.#counts.set(event.sentence, event.chunks);
      this.sentences = event.sentences;
    }
    this.#advance();
  }

  // Return the ends of the subjects of the events that are needed next.
  get awaited() {
    return ["failed", `${this.sentence}.end`, `${this.sentence}.${this.chunk}`];
  }

  #advance() {
    while (!this.done) {
      const key = `${this.sentence}.${this.chunk}`;
      if (this.#counts.get(this.sentence) === this.chunk) {
        this.sentence += 1;
        this.chunk = 0;
      } else if (this.#chunks.has(key)) {
        this.write(this.#chunks.get(key));
        this.#chunks.delete(key);
        this.chunk += 1;
      } else {
        return;
      }
    }
  }
}

// Return the header of a WAV file with so many bytes of mono 16-bit samples.
function wavHeader(sampleRateHz, dataBytes) {
  const header = Buffer.alloc(WAV_HEADER_BYTES);
  header.write("RIFF", 0);
  header.writeUInt32LE(WAV_HEADER_BYTES - 8 + dataBytes, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16); // size of the format
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // channels
  header.writeUInt32LE(sampleRateHz, 24);
  header.writeUInt32LE(sampleRateHz * 2, 28); // bytes a second
  header.writeUInt16LE(2, 32); // bytes of a sample
  header.writeUInt16LE(16, 34); // bits of a sample
  header.write("data", 36);
  header.writeUInt32LE(dataBytes, 40);
  return header;
}

// Return a stored event of TTS_AUDIO; null if there is none.
async function stored(bus, subject) {
  const reply = await bus.request(`$JS.API.DIRECT.GET.TTS_AUDIO.${subject}`, undefined, { timeout: 5_000 });
  return reply.headers?.code ? null : decode(reply.data);
}

// Publish one request and give its events to the assembly until it is complete.
async function speak(bus, fields, assembly) {
  const request = randomBytes(16).toString("hex");
  const inbox = `tts.v1.audio.${TENANT}.${request}`;
  let events;
  let timer;
  const complete = new Promise((resolve, reject) => {
    const take = (event) => {
      try {
        assembly.take(event);
      } catch (failure) {
        reject(failure);
      }
      if (assembly.done) {
        resolve();
      }
    };
    const reread = async () => {
      const found = await Promise.all(assembly.awaited.map((end) => stored(bus, `${inbox}.${end}`)));
      found.filter(Boolean).forEach(take);
      timer.refresh();
    };

    timer = setTimeout(() => reread().catch(reject), SILENCE_MS);
    const callback = (failure, message) => {
      timer.refresh();
      failure ? reject(failure) : take(decode(message.data));
    };
    events = bus.subscribe(`${inbox}.>`, { callback }); // before the request, so that nothing is missed
    setTimeout(() => reject(new Refused("the deadline has passed")), DEADLINE_MS + 10_000).unref();
  });
  complete.catch(() => {}); // reported by the await below

  process.once("SIGINT", () => {
    const command = encode({ type: "CancelSpeech", request, tenant: TENANT, reason: "Ctrl-C" });
    bus.publish(`tts.v1.cancel.${TENANT}.${request}`, command); // `SpeechFailed` with the code `cancelled` follows
  });
  try {
    const deadline = { deadline_unix_ms: Date.now() + DEADLINE_MS };
    const command = { type: "SpeechRequest", request, tenant: TENANT, seed: 1, ...fields, ...deadline };
    const msgID = `request.${TENANT}.${request}`; // holds the tenant, as all tenants share the stream
    await jetstream(bus, { timeout: 10_000 }).publish(`tts.v1.request.${TENANT}`, encode(command), { msgID });
    await complete;
  } finally {
    clearTimeout(timer);
    events.unsubscribe();
  }
}

// Write a WAV file; its header comes last, when the length is known.
async function main(url, reference, language, text, path) {
  const bus = await connect({ servers: url, ...access() });
  const file = openSync(path, "w");
  let dataBytes = 0;
  const assembly = new Assembly((pcm) => {
    dataBytes += writeSync(file, pcm, 0, pcm.length, WAV_HEADER_BYTES + dataBytes);
  });
  try {
    const engine = process.env.ENGINE || (await engineFor(bus, language));
    await speak(bus, { engine, language, text, ...(await speaker(bus, reference)) }, assembly);
    const header = wavHeader(assembly.sampleRateHz, dataBytes);
    writeSync(file, header, 0, header.length, 0);
  } finally {
    closeSync(file);
    await bus.close();
  }
}

if (process.argv.length !== 7) {
  console.error("usage: node nats_client.mjs URL REFERENCE|voice=NAME LANGUAGE TEXT OUT.wav");
  process.exit(2);
}
main(...process.argv.slice(2)).catch((failure) => {
  console.error(failure instanceof Refused ? failure.message : failure);
  process.exitCode = 1;
});
