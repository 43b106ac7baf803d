/** A page on the React hooks: a conversation, and a channel. */

import { createElement as h, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

import { useSubscription, useTailrace } from "../../clients/js/dist/react.js";

function Conversation() {
  const { messages, state, error, ask, stop } = useTailrace("/api/chat", { patience: { first: 50 } });
  return h(
    "section",
    { id: "conversation", "data-state": state, "data-error": error?.code ?? "" },
    h("button", { onClick: () => ask("Write a long essay", { max_tokens: 400 }) }, "Long"),
    h("button", { onClick: () => ask("Say hello", { max_tokens: 3 }) }, "Short"),
    h("button", { onClick: () => ask("Say hello", { model: "nope" }) }, "Wrong"),
    h("button", { onClick: stop }, "Stop"),
    messages.map(({ role, content }, at) => h("p", { key: at, className: role }, content)),
  );
}

function Channel() {
  const [name, setName] = useState("prices");
  const { event, state } = useSubscription(name, { onEvent: () => globalThis.held });
  return [
    h("button", { key: 1, onClick: () => setName("rates") }, "Rates"),
    h("output", { key: 2, id: "channel", "data-state": state }, event?.data),
  ];
}

createRoot(document.body).render(h(StrictMode, null, h(Conversation), h(Channel)));
