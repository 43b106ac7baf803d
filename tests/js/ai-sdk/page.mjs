// Pages of a browser that use the AI SDK as it is published: `useChat`, with its default transport.
//
// A line on standard input is a call, `{number, page, call, given}`; each is answered by a line, once it is over:
// `{number, ...}` with the chat as the page has it then. Pages of one name come one after the other, as after a reload.

import { createInterface } from "node:readline";
import { createElement } from "react";
import { create } from "react-test-renderer";

const [version] = process.argv.slice(2); // an older one than the newest
const { useChat } = await import(version ? `ai-sdk-react-${version}` : "@ai-sdk/react");
const { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } = await import(
  version ? `ai-${version}` : "ai"
);

globalThis.IS_REACT_ACT_ENVIRONMENT = false; // what the hook does between two renders is what is looked at

const pages = new Map();

function open(name, { api, id, messages = [], resume = false, ended = false, body, headers, outputs }) {
  const page = { abort: new AbortController(), finished: [], ran: [] };
  // A page that is left takes its connections with it.
  const fetching = (url, options) =>
    fetch(url, { ...options, signal: AbortSignal.any([page.abort.signal, options.signal].filter(Boolean)) });
  const back = { api: `${api}/${encodeURIComponent(id)}/stream?ended=true` };
  const prepareReconnectToStreamRequest = ended ? () => back : undefined;
  const transport = new DefaultChatTransport({ api, body, headers, fetch: fetching, prepareReconnectToStreamRequest });
  const Page = () => {
    page.chat = useChat({
      id,
      messages,
      resume,
      transport,
      onFinish: ({ message, isAbort, isDisconnect, isError, finishReason }) =>
        page.finished.push({ id: message.id, isAbort, isDisconnect, isError, finishReason }),
      onToolCall: ({ toolCall }) => {
        page.ran.push(toolCall.toolCallId);
        const output = outputs?.[toolCall.toolName];
        if (output !== undefined) {
          page.chat.addToolOutput({ tool: toolCall.toolName, toolCallId: toolCall.toolCallId, output });
        }
      },
      onError: () => {},
      sendAutomaticallyWhen: outputs && lastAssistantMessageIsCompleteWithToolCalls,
    });
    return null;
  };
  page.root = create(createElement(Page));
  pages.set(name, page);
}

function shown(page) {
  const { messages, status, error } = page.chat;
  return { messages, status, error: error?.message ?? null, finished: page.finished, ran: page.ran };
}

const until = async (reached) => {
  while (!reached()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const calls = {
  open: (name, given) => {
    open(name, given);
    return until(() => pages.get(name).chat);
  },
  leave: (name) => {
    pages.get(name).abort.abort(new DOMException("the page is gone", "AbortError"));
    pages.get(name).root.unmount();
  },
  send: (name, message) => pages.get(name).chat.sendMessage(message),
  regenerate: (name) => pages.get(name).chat.regenerate(),
  resume: (name) => pages.get(name).chat.resumeStream(),
  stop: (name) => pages.get(name).chat.stop(),
  // Until the last message has a text, or what is so far has ended.
  reads: (name, text) => until(() => JSON.stringify(pages.get(name).chat.messages.at(-1) ?? "").includes(text)),
  rests: (name) => until(() => ["ready", "error"].includes(pages.get(name).chat.status)),
};

async function perform({ number, page, call, given }) {
  let failed = null;
  try {
    await calls[call](page, given);
    await new Promise((resolve) => setTimeout(resolve, 0)); // React renders what was changed last
  } catch (error) {
    failed = `${error}`;
  }
  process.stdout.write(`${JSON.stringify({ number, failed, ...shown(pages.get(page)) })}\n`);
}

for await (const line of createInterface({ input: process.stdin })) void perform(JSON.parse(line));
