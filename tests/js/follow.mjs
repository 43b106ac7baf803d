/** Follow channels of a server until one publishes `end`: `follow.mjs URL CHANNEL...`; print events as JSON lines. */

import { subscribe } from "../../clients/js/dist/index.js";

const [base, ...channels] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const subscription = subscribe(channels.length > 1 ? channels : channels[0], {
  base,
  patience: { first: 100, longest: 500 },
  onEvent: ({ type, data, channel }) => {
    if (data === "end") subscription.close();
    say({ type, data, channel: channel ?? null });
  },
  onGap: (gap) => say({ gap }),
  onState: (state) => say({ state }),
});
await subscription.closed;
