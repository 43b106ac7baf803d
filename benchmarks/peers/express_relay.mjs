// The relay that most Node services are: the upstream's answer piped to the client, on Express.
//
//     node express_relay.mjs MODULES PORT UPSTREAM_PORT
//
// It reads no event, keeps none, and cannot resume: what Tailrace does beyond this is its price.

import http from "node:http";
import { createRequire } from "node:module";
import { pipeline } from "node:stream";

const [modules, port, upstreamPort] = process.argv.slice(2);
const express = createRequire(`${modules}/`)("express");
const agent = new http.Agent({ keepAlive: true });
const app = express();

app.post("/{*path}", (request, response) => {
  const upstream = http.request(
    {
      agent,
      host: "127.0.0.1",
      port: upstreamPort,
      path: request.path,
      method: "POST",
      headers: {
        "content-type": request.headers["content-type"],
        "content-length": request.headers["content-length"],
      },
    },
    (answer) => {
      response.writeHead(answer.statusCode, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      pipeline(answer, response, () => {});
    },
  );
  pipeline(request, upstream, (error) => error && response.destroy());
});

app.listen(Number(port), "127.0.0.1");
