/**
 * What a person is told about an answer: where it stands, what happened, what to do. Words only.
 */

const LABELS = {
  asking: "Asking",
  live: "Live",
  resumed: "Resumed",
  gap: "Resumed",
  reconnecting: "Reconnecting",
  stopping: "Stopping",
  done: "Complete",
  stopped: "Stopped",
  failed: "Failed",
  gone: "Gone",
  locked: "Sign in",
};

const DETAILS = {
  asking: () => "",
  live: () => "",
  resumed: () => "Back again, and nothing was lost.",
  gap: ({ missed }) => (missed ? "Back again, but a part is missing." : "Back again, and told from its start."),
  reconnecting: (_, waiting) => waiting?.reason ?? "Picking the answer up where it was.",
  stopping: () => "Telling the model.",
  done: () => "",
  stopped: ({ error }) => STOPS[error?.type] ?? STOPS.caller_cancelled,
  failed: describeFailure,
  gone: () => "The server no longer has this answer: it kept it for a while, or was restarted.",
  locked: () => "This server wants to know who asks: sign in.",
};

const STOPS = {
  caller_cancelled: "Stopped on request.",
  caller_gone: "Stopped, since nobody was watching for a while.",
};

const REFUSALS = {
  403: "This key may not chat here. Whoever gave it to you can change that.",
  413: "The conversation is too long for this server. Begin a new one.",
};

/** By error type, most exact first; a prefix says who is at fault. */
const FAILURES = [
  ["caller_unknown_run", "The server does not know this answer."],
  ["policy_run_too_large", "The answer grew larger than this server allows."],
  ["policy_token_budget", "The tokens that you may use in a minute are used up. Ask again in a moment."],
  ["policy_", "A rule of this server ended the answer."],
  ["provider_auth", "The model's provider did not accept this server's key. Whoever runs the server can mend that."],
  ["provider_rate_limited", "The model's provider has too much to do. Wait a little, then ask again."],
  ["provider_overloaded", "The model's provider has too much to do. Wait a little, then ask again."],
  ["provider_rejected", "The model's provider refuses this question."],
  ["provider_", "The model's provider broke off. Asking again may help."],
  ["tailrace_interrupted", "The server that was writing this answer stopped. Ask again for a whole one."],
  ["", "Something went wrong in the server. Asking again may help."],
];

const FINISHES = new Map([
  ["length", "cut at the limit of tokens"],
  ["content_filter", "cut by the provider's filter"],
  ["refusal", "the model declined"],
  ["pause", "the model paused"],
  ["tool_calls", "ended with a tool call"],
]);

/** What can be done about an end that nobody wanted. */
const ADVICE = {
  stopped: "Go on with another question, or ask this one again.",
  failed: "What arrived stays; asking again starts over.",
  gone: "What arrived stays; asking again starts over.",
};

/** Say what can be done about an answer that is over; nothing where nothing need be done. */
export function advise(answer) {
  return ADVICE[answer.state] ?? "";
}

/**
 * Say where an answer stands: `label` in a word, `detail` in a sentence (or nothing).
 *
 * @param {{reason: string, until: number} | null} waiting as `AnswerStream` has it
 */
export function describe(answer, waiting = null) {
  return { label: LABELS[answer.state], detail: DETAILS[answer.state](answer, waiting) };
}

function describeFailure({ error, refusal }) {
  if (refusal) return REFUSALS[refusal.status] ?? `The server did not accept the question: ${refusal.detail}`;
  if (!error) return "This page ran into a fault of its own. Reload it to go on.";
  const [, words] = FAILURES.find(([prefix]) => error.type.startsWith(prefix));
  return `${words} (${error.message})`;
}

/** Say who answered, what it took, and what is special about the end; a list of short phrases. */
export function facts({ finish, missed }) {
  const phrases = [];
  if (missed > 0) phrases.push(`pieces missing: ${missed}`);
  if (!finish) return phrases;
  const { model, provider, usage, finish_reason: reason } = finish;
  const about = usage.estimated ? "about " : "";
  phrases.push(`${provider}/${model}`, `${about}${usage.input_tokens} tokens read, ${usage.output_tokens} written`);
  if (FINISHES.has(reason)) phrases.push(FINISHES.get(reason));
  return phrases;
}
