/**
 * What an event costs in the JavaScript client: the same bytes through its `subscribe` and `chat`, and through the
 * bare parser that they stand on. `javascript.mjs EVENTS` prints {"<contestant>": microseconds an event}, the best of
 * several rounds; nothing of it is the network's.
 */

import { chat, subscribe } from "../../clients/js/dist/index.js";
import { createParser } from "../../clients/js/node_modules/eventsource-parser/dist/index.js";

const EVENTS = Number(process.argv[2] ?? 10_000);
const ROUNDS = 7;
const CHUNK = 1460; // bytes: a segment on the wire, as a busy stream arrives

const encoder = new TextEncoder();
const STREAM = { "content-type": "text/event-stream", "tailrace-heartbeat": "15", "tailrace-run": "r" };

function cut(text) {
  const bytes = encoder.encode(text);
  return Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, at) => bytes.subarray(at * CHUNK, (at + 1) * CHUNK));
}

const event = (at) => `id: r-${at + 2}\ndata: {"text":" token${at}"}\n\n`;
const EVENTS_OF_BOTH = Array.from({ length: EVENTS }, (_, at) => event(at)).join("");
const CHANNEL = cut(EVENTS_OF_BOTH);
const ANSWER = cut(`id: r-1\nevent: start\ndata: {"run":"r","model":"m"}\n\n${EVENTS_OF_BOTH}event: done\ndata: [DONE]\n\n`);

function fetchOf(chunks) {
  return async () => {
    let at = 0;
    const pull = (controller) => (at < chunks.length ? controller.enqueue(chunks[at++]) : controller.close());
    return new Response(new ReadableStream({ pull }), { headers: STREAM });
  };
}

const CONTESTANTS = {
  async subscribe() {
    let got = 0;
    const subscription = subscribe("http://x/events/a", {
      fetch: fetchOf(CHANNEL),
      onEvent: (told) => (got += told.json().text.length > 0),
      onState: (state) => state === "reconnecting" && subscription.close(),
    });
    await subscription.closed;
    return got;
  },

  async chat() {
    let got = 0;
    for await (const told of chat("http://x/api/chat", "hi", { fetch: fetchOf(ANSWER) })) got += told.type === "message";
    return got;
  },

  async "eventsource-parser by hand"() {
    let got = 0;
    const parser = createParser({ onEvent: ({ data }) => (got += JSON.parse(data).text.length > 0) });
    const decoder = new TextDecoder();
    const reader = (await fetchOf(CHANNEL)()).body.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      parser.feed(decoder.decode(value, { stream: true }));
    }
    return got;
  },
};

const best = {};
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, run] of Object.entries(CONTESTANTS)) {
    const begun = performance.now();
    const got = await run();
    const taken = performance.now() - begun;
    if (got !== EVENTS) throw new Error(`${name}: ${got} of ${EVENTS} events`);
    best[name] = Math.min(best[name] ?? Infinity, (taken * 1000) / EVENTS);
  }
}
console.log(JSON.stringify(best));
