/** Ask the chat endpoint of a server, `ask.mjs URL BODY`; print what happens as JSON lines. */

import { chat } from "../../clients/js/dist/index.js";

const [url, body] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const answer = chat(`${url}/api/chat`, JSON.parse(body), {
  patience: { first: 100, longest: 500 },
  onState: (state) => say({ state }),
});
let error = null;
try {
  for await (const event of answer) say({ event: event.type });
} catch (thrown) {
  error = thrown.code;
}
const { run, text, thinking, finish } = answer;
say({ run, text, thinking, finish_reason: finish?.finish_reason ?? null, error });
