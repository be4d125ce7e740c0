// Writes a message, given as JSON on stdin, as the encoders of npm write it: a JSON object of hex strings.

import { readFileSync } from "node:fs";
import { encode } from "@msgpack/msgpack";
import { Packr, pack } from "msgpackr";

// Return a value with bytes, and with undefined for `{"$undefined": true}`.
function restored(value) {
  if (Array.isArray(value)) {
    return value.map(restored);
  }
  if (value === null || typeof value !== "object") {
    return value;
  }
  if ("$bytes" in value) {
    return Buffer.from(value.$bytes, "base64");
  }
  if ("$undefined" in value) {
    return undefined;
  }
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, restored(inner)]));
}

const message = restored(JSON.parse(readFileSync(0, "utf8")));
const encoders = {
  "@msgpack/msgpack": () => encode(message),
  "@msgpack/msgpack, useBigInt64": () => encode(message, { useBigInt64: true }),
  "@msgpack/msgpack, forceIntegerToFloat": () => encode(message, { forceIntegerToFloat: true }),
  "@msgpack/msgpack, ignoreUndefined": () => encode(message, { ignoreUndefined: true }),
  msgpackr: () => pack(message),
  "msgpackr, variableMapSize": () => new Packr({ useRecords: false, variableMapSize: true }).pack(message),
  "msgpackr, encodeUndefinedAsNil": () =>
    new Packr({ useRecords: false, encodeUndefinedAsNil: true }).pack(message),
};
const written = Object.entries(encoders).map(([name, write]) => [name, Buffer.from(write()).toString("hex")]);
process.stdout.write(JSON.stringify(Object.fromEntries(written)));
