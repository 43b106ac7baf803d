/** Any order of failures: a subscription has each event once and in order, a question one run and its whole answer. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { chat, subscribe } from "../../clients/js/dist/index.js";
import { SEED, seeded } from "./seeded.mjs";

const ROUNDS = Number(process.env.TAILRACE_ROUNDS ?? 60);
const QUICK = { first: 0, jitter: 0 };
const encoder = new TextEncoder();

const RESUMED = 'event: resume\ndata: {"recovered":true,"reason":"ok","missed":0}\n\n';
const UNKNOWN = 'id: r-0\nevent: resume\ndata: {"recovered":false,"reason":"unknown","missed":null}\n\n';
const LEAVE = 'retry: 0\nevent: reconnect\ndata: {"reason":"draining"}\n\n';

/** A body in pieces of any size, which may break off at any byte, or end in order in the middle of its events. */
function bodyOf(blocks, chance) {
  const fault = chance.pick(["cut", "end", "leave", "leave", "whole"]);
  let told = blocks;
  if (fault === "leave") told = [...blocks.slice(0, chance.below(blocks.length + 1)), LEAVE];
  let bytes = encoder.encode(told.join(""));
  if (fault === "cut" || fault === "end") bytes = bytes.subarray(0, chance.below(bytes.length + 1));
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, (at += 1 + chance.below(60))));
      else if (fault === "cut") controller.error(new TypeError("terminated"));
      else controller.close();
    },
  });
}

function answered(blocks, chance, headers = {}) {
  const fault = chance.below(8);
  if (fault === 0) throw new TypeError("fetch failed");
  if (fault === 1) return new Response(null, { status: 503, headers: { "retry-after": "0" } });
  return new Response(bodyOf(blocks, chance), { headers: { "content-type": "text/event-stream", "tailrace-heartbeat": "15", ...headers } });
}

test(`a subscription (seed ${SEED})`, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const chance = seeded(SEED + round);
    const log = Array.from({ length: chance.below(20) }, (_, at) => `id: e-${at + 1}\ndata: ${at} \u2026\n\n`);
    const fetch = async (request) => {
      const cursor = request.headers.get("last-event-id");
      const rest = log.slice(cursor ? Number(cursor.slice(2)) : 0);
      return rest.length ? answered([cursor ? RESUMED : "id: e-0\nevent: ready\ndata: {}\n\n", ...rest], chance) : new Response(null, { status: 204 });
    };
    const got = [];
    await subscribe("http://x/events/a", { fetch, patience: QUICK, onEvent: ({ data }) => got.push(data), onGap: () => got.push("gap") }).closed;
    assert.deepEqual(got, log.map((_, at) => `${at} \u2026`), `seed ${SEED + round}`);
  }
});

test(`a question (seed ${SEED})`, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const chance = seeded(SEED + round);
    const [isNamed, forgets] = [chance.below(2), chance.below(4) === 0];
    const pieces = Array.from({ length: chance.below(12) }, (_, at) => `piece ${at}\u2026 `);
    const log = ['id: r-1\nevent: start\ndata: {"run":"r","model":"m"}\n\n'];
    for (const text of pieces) log.push(`id: r-${log.length + 1}\ndata: ${JSON.stringify({ text })}\n\n`);
    log.push(`id: r-${log.length + 1}\nevent: done\ndata: [DONE]\n\n`);

    const keys = new Set();
    let answer;
    const fetch = async (request) => {
      assert.equal(request.method, answer.run ? "GET" : "POST");
      if (request.method === "POST") keys.add(request.headers.get("idempotency-key"));
      const cursor = request.headers.get("last-event-id");
      const named = isNamed ? { "tailrace-run": "r" } : {};
      if (!cursor) return answered(log, chance, named);
      return answered(forgets ? [UNKNOWN, ...log] : [RESUMED, ...log.slice(Number(cursor.slice(2)))], chance, named);
    };
    answer = chat("http://x/api/chat", "hi", { fetch, patience: QUICK });
    let text = "";
    for await (const event of answer) {
      if (event.type === "message") text += event.text;
      if (event.type === "restart") text = "";
    }
    assert.equal(text, pieces.join(""), `seed ${SEED + round}`);
    assert.equal(answer.text, text);
    assert.ok(keys.size <= 1);
    assert.equal(answer.state, "ended");
  }
});
