/** The events of an answer: what each one says, and how it is read. */

import { RequestRefused } from "./errors.ts";
import type { Verdict } from "./verdict.ts";
import type { StreamEvent } from "./wire.ts";

/** The run has begun; `model` is what answers. */
export interface StartEvent {
  readonly type: "start";
  readonly run: string;
  readonly model: string;
}

/** A piece of the answer's text. */
export interface MessageEvent {
  readonly type: "message";
  readonly text: string;
  /** Whether the model declines. */
  readonly refusal?: boolean;
}

/** A piece of the model's reasoning. */
export interface ThinkingEvent {
  readonly type: "thinking";
  readonly text: string;
}

/** A fragment of a tool call: `index` tells parallel calls apart, `arguments` is the next piece of its JSON. */
export interface ToolEvent {
  readonly type: "tool";
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** Discard what was said so far: it is void, and the answer begins anew. */
export interface RestartEvent {
  readonly type: "restart";
  readonly provider: string;
  readonly model: string;
  readonly reason: string;
}

/** In place of all that was said so far: the whole of it. Comes only where it was asked for. */
export interface SnapshotEvent {
  readonly type: "snapshot";
  readonly text: string;
  readonly thinking: string;
}

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  /** Whether the provider did not say, so that they were counted by rule of thumb. */
  readonly estimated: boolean;
}

/** The model ended by itself. */
export interface FinishEvent {
  readonly type: "finish";
  readonly finish_reason: string;
  readonly usage: Usage;
  readonly model: string;
  readonly provider: string;
}

/** The run failed, was cancelled or was interrupted; `done` follows. */
export interface ErrorEvent {
  readonly type: "error";
  readonly error: { readonly type: string; readonly message: string; readonly retryable: boolean };
}

/** The last event of every run. */
export interface DoneEvent {
  readonly type: "done";
}

/** The server's verdict, where the connection was lost: whether what was missed follows. */
export interface ResumeEvent extends Verdict {
  readonly type: "resume";
}

/** Something is missing here. */
export interface GapEvent extends Verdict {
  readonly type: "gap";
}

/** This server is leaving, or the credentials end; another connection follows by itself. */
export interface ReconnectEvent {
  readonly type: "reconnect";
  readonly reason: string;
}

export type ChatEvent =
  | StartEvent
  | MessageEvent
  | ThinkingEvent
  | ToolEvent
  | RestartEvent
  | SnapshotEvent
  | FinishEvent
  | ErrorEvent
  | DoneEvent
  | ResumeEvent
  | GapEvent
  | ReconnectEvent;

/** What must be there, and be of this type, for an event to be what it says. */
const NEEDED: { readonly [type in ChatEvent["type"]]: Readonly<Record<string, string>> } = {
  start: { run: "string" },
  message: { text: "string" },
  thinking: { text: "string" },
  tool: { index: "number" },
  restart: {},
  snapshot: { text: "string" },
  finish: { finish_reason: "string" },
  error: { error: "object" },
  done: {},
  resume: { recovered: "boolean" },
  gap: {},
  reconnect: {},
};

/** Read an event of a run; undefined for one of a later release. Throws `RequestRefused` where it is not readable. */
export function readChatEvent({ type, data }: StreamEvent): ChatEvent | undefined {
  const needed = Object.hasOwn(NEEDED, type) ? NEEDED[type as ChatEvent["type"]] : undefined;
  if (!needed) return undefined;
  try {
    const told = type === "done" ? {} : JSON.parse(data);
    for (const name in needed) if (typeof told[name] !== needed[name]) throw new TypeError(name);
    told.type = type;
    return told;
  } catch {
    throw new RequestRefused(200, "not_an_answer", `the event "${type}" cannot be read: is this Tailrace?`);
  }
}
