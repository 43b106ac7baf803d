/** Resumable Server-Sent Events: channels, and answers of models that survive whatever happens to the connection. */

export { type Answer, type ChatOptions, type ChatRequest, type AttachOptions, attach, chat } from "./chat.ts";
export type * from "./chat-events.ts";
export { RequestRefused, RunError, TailraceError, Unreachable } from "./errors.ts";
export type { Change, HeadersSource, State, StreamOptions } from "./options.ts";
export type { Patience } from "./patience.ts";
export { type ChannelEvent, type SubscribeOptions, type Subscription, subscribe } from "./subscribe.ts";
export type { Verdict } from "./verdict.ts";
