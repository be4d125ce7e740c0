// Speak with openai-node, unmodified: `node openai_speech.mjs BASE_URL TEXT`. Prints one JSON object.
import { createHash } from "node:crypto";
import OpenAI from "openai";

const [baseURL, input] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "unused", baseURL, maxRetries: 0 });
const speech = { model: "gpt-4o-mini-tts", voice: "alloy", input, response_format: "pcm" };
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

const whole = Buffer.from(await (await client.audio.speech.create(speech)).arrayBuffer());

const blocks = [];
const streaming = await client.audio.speech.create(speech);
for await (const block of streaming.body) blocks.push(block);

const events = [];
const sent = await client.audio.speech.create({ ...speech, stream_format: "sse" });
for (const line of (await sent.text()).split("\n"))
  if (line.startsWith("data: ")) events.push(JSON.parse(line.slice(6)));
const deltas = events.filter((event) => event.type === "speech.audio.delta");

const { response_format, ...usual } = speech;
const mp3 = await client.audio.speech.create(usual);

const errors = {};
for (const [name, change] of Object.entries({
  voice: { voice: "zzqqxx" },
  model: { model: "gpt-5" },
  speed: { speed: 100 },
  input: { input: "" },
})) {
  try {
    await client.audio.speech.create({ ...speech, ...change });
  } catch (error) {
    const { status, code, param } = error;
    errors[name] = { class: error.constructor.name, status, code, param };
  }
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(
  JSON.stringify({
    whole: hash(whole),
    streamed: hash(Buffer.concat(blocks)),
    events: hash(Buffer.concat(deltas.map((event) => Buffer.from(event.audio, "base64")))),
    last: events.at(-1),
    mp3: mp3.headers.get("content-type"),
    errors,
    models,
    model: (await client.models.retrieve("tts-1")).id,
  }),
);
