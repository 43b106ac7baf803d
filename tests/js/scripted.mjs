/**
 * An HTTP server that answers by a script, down to where its bytes break off: what tests/support/scripted.py is for
 * Python. Replies are those of tests/client/cases.json.
 */

import { createServer } from "node:net";

/** Bytes of a piece of a reply. */
export function bytesOf(piece) {
  return typeof piece === "string" ? Buffer.from(piece) : Buffer.from(piece.base64, "base64");
}

/** A server on loopback. `seen` has the requests; one for which no reply is left gets 418, which is final. */
export class Scripted {
  seen = [];
  #replies;
  #server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  #sockets = new Set();

  constructor(replies) {
    this.#replies = [...replies];
  }

  async open() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket) {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // clients leave as they like
    let received = Buffer.alloc(0);
    socket.on("data", (data) => {
      received = Buffer.concat([received, data]);
      const request = parse(received);
      if (!request) return;
      received = Buffer.alloc(0); // clients wait for the answer before they ask again
      this.seen.push(request);
      answer(socket, this.#replies.shift() ?? { status: 418, body: "the script is over" });
    });
  }
}

function parse(received) {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first, ...lines] = received.subarray(0, end).toString("utf8").split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => line.match(/^([^:]+):\s*(.*)$/s).slice(1)));
  const named = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const body = received.subarray(end + 4);
  if (body.length < Number(named["content-length"] ?? 0)) return null;
  const [method, path] = first.split(" ");
  return { method, path, headers: named, body: body.toString("utf8") };
}

function answer(socket, { status, headers = {}, body, chunks, then = "end" }) {
  if (status === 0) {
    socket.destroy();
    return;
  }
  const framing = chunks ? { "transfer-encoding": "chunked" } : { "content-length": Buffer.byteLength(body ?? "") };
  const lines = Object.entries({ ...framing, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status} Scripted\r\n${lines.join("")}\r\n${body ?? ""}`);
  for (const chunk of (chunks ?? []).map(bytesOf)) {
    socket.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]));
  }
  if (then === "end" && chunks) socket.write("0\r\n\r\n");
  if (then === "cut") socket.end();
  // A reset overtakes what was written but not sent: let it leave first.
  if (then === "reset") setTimeout(() => socket.resetAndDestroy(), 20);
}
