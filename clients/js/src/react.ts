/** Hooks: a channel, or a conversation with a model, as the state of a component. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Answer, ChatOptions, ChatRequest, ToolCall } from "./chat.ts";
import { chat } from "./chat.ts";
import type { FinishEvent } from "./chat-events.ts";
import type { Change, State } from "./options.ts";
import { type ChannelEvent, type SubscribeOptions, type Subscription, subscribe } from "./subscribe.ts";

/** What a subscription looks like now. */
export interface SubscriptionState<T> {
  /** The newest event; undefined before the first. */
  readonly event: ChannelEvent<T> | undefined;
  readonly state: State;
  readonly change: Change;
}

const UNBEGUN: [State, Change] = ["connecting", {}];

/**
 * Follow a URL or channels while the component is there; null follows nothing. The newest event renders the
 * component; `options.onEvent`, where given, is called with every one, also with those that came within one frame.
 * The subscription is made anew when the target changes, not for options: the newest ones are used.
 */
export function useSubscription<T = unknown>(
  target: string | readonly string[] | null,
  options: Partial<SubscribeOptions<T>> = {},
): SubscriptionState<T> & { readonly subscription: Subscription | undefined } {
  const latest = useLatest(options);
  const [event, setEvent] = useState<ChannelEvent<T>>();
  const [[state, change], setState] = useState(UNBEGUN);
  const [subscription, setSubscription] = useState<Subscription>();
  const key = JSON.stringify(target);
  useEffect(() => {
    setEvent(undefined);
    setState(UNBEGUN);
    setSubscription(undefined);
    if (target === null) return undefined;
    let isCurrent = true; // one that was closed ends when its last handler is done, long after another is live
    const made = subscribe<T>(target, {
      ...latest.current,
      onEvent: (next) => {
        setEvent(next);
        return latest.current.onEvent?.(next);
      },
      onGap: (gap) => latest.current.onGap?.(gap),
      onError: (error) => latest.current.onError?.(error),
      onState: (now, why) => {
        if (!isCurrent) return;
        setState([now, why]);
        latest.current.onState?.(now, why);
      },
    });
    setSubscription(made);
    return () => {
      isCurrent = false;
      made.close();
    };
  }, [key]);
  return { event, state, change, subscription };
}

/** One message of a conversation. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
  readonly thinking?: string;
  readonly tools?: readonly ToolCall[];
  readonly finish?: FinishEvent | undefined;
}

/** A conversation as it is now, and what can be done with it. */
export interface Conversation {
  readonly messages: readonly Turn[];
  /** Of the newest answer; `ended` before the first question. */
  readonly state: State;
  readonly change: Change;
  /** What the newest answer failed with. */
  readonly error: unknown;
  /** The newest answer: its `run` and `lastEventId` are what `attach` needs after a reload. */
  readonly answer: Answer | undefined;
  /** Ask; what was asked and said before goes along. An answer in progress is stopped first. */
  readonly ask: (message: string, also?: Omit<ChatRequest, "message" | "messages">) => Promise<void>;
  readonly stop: () => void;
}

/** Talk to the model behind the chat endpoint `url`. Leaving the component leaves the answer to its grace. */
export function useTailrace(url: string, options: ChatOptions & { readonly body?: ChatRequest } = {}): Conversation {
  const latest = useLatest(options);
  const [messages, setMessages] = useState<readonly Turn[]>([]);
  const [[state, change], setState] = useState<[State, Change]>(["ended", {}]);
  const [error, setError] = useState<unknown>();
  const current = useRef<Answer>(undefined);
  const said = useRef(messages);

  const show = useCallback((turns: readonly Turn[]) => {
    said.current = turns;
    setMessages(turns);
  }, []);

  const ask = useCallback<Conversation["ask"]>(
    async (message, also = {}) => {
      await current.current?.stop();
      const { body, onState, ...rest } = latest.current;
      const before = [...said.current, { role: "user", content: message } as const];
      const asked = { ...body, ...also, messages: before.map(({ role, content }) => ({ role, content })) };
      const answer: Answer = chat(url, asked, {
        ...rest,
        onState: (now, why) => {
          if (current.current === answer) setState([now, why]);
          onState?.(now, why);
        },
      });
      current.current = answer;
      setError(undefined);
      setState(["connecting", {}]);
      show(before);
      try {
        for await (const _ of answer) {
          if (current.current !== answer) return; // asked again meanwhile
          show([...before, turnOf(answer)]);
        }
      } catch (problem) {
        if (current.current === answer) setError(problem);
      }
    },
    [url],
  );

  useEffect(() => () => current.current?.close(), []);
  const stop = useCallback(() => void current.current?.stop(), []);
  return { messages, state, change, error, answer: current.current, ask, stop };
}

function turnOf({ text, thinking, tools, finish }: Answer): Turn {
  return { role: "assistant", content: text, thinking, tools: [...tools], finish };
}

/** What was passed last, for functions that are made once. */
function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  latest.current = value;
  return latest;
}
