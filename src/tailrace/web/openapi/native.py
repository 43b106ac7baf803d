"""The operations that speak our own words: chat, channels, credentials, operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tailrace.web.openapi.parts import (
    Operation,
    Part,
    at_path,
    form,
    header,
    in_query,
    json,
    json_body,
    nothing,
    page,
    ref,
    some,
    stream,
)
from tailrace.web.openapi.schemas import CHANNEL, CURSOR, KEY

__all__ = ["NATIVE"]

_TEXT: Final[Part] = {"type": "string"}
_NAMED: Final[Part] = {"type": "string", "minLength": 1, "maxLength": 128}
_MOST_LIMIT: Final[Part] = {"type": "integer", "minimum": 1, "maximum": 999_999_999}

_RUN: Final = at_path("run", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}, "The run's id.")
_CHANNEL: Final = at_path("channel", CHANNEL, "The channel's name. It is there as soon as it is used.")
_CURSORS: Final = (
    header("Last-Event-ID", CURSOR, "The id of the last event that was seen: go on behind it."),
    in_query("last_event_id", CURSOR, "The same, where no header can be sent. The header wins."),
)
_KEY: Final = header("Idempotency-Key", KEY, "The same key again gets the answer that it has started.")
_READING: Final = (
    *_CURSORS,
    in_query("from", {"enum": ["earliest"]}, "Begin with the oldest event that is retained."),
    in_query("event", some(_TEXT), "Show only events of these types."),
    in_query("snapshot", {"enum": ["0", "1"]}, "Begin with the channel's state: `1`."),
    in_query("limit", _MOST_LIMIT, "How many retained events are shown in JSON, at most 1000."),
)
_RUN_STREAM: Final = ("Tailrace-Run", "Tailrace-Heartbeat")
_LOST: Final = nothing("The answer has ended, and the cursor stands behind its last event.")

_CHAT: Final[Sequence[Operation]] = (
    Operation(
        path="/api/chat",
        method="post",
        name="ask",
        tag="chat",
        summary="Ask a model; the answer is a stream",
        text="With a `Last-Event-ID` nothing is started: the answer that it names goes on.",
        parameters=(_KEY, *_CURSORS),
        body=json_body(ref("ChatBody"), example={"message": "Say hello"}),
        answers={200: stream("The answer, as it is given.", *_RUN_STREAM), 204: _LOST},
        refusals=(404, 422),
    ),
    Operation(
        path="/api/chat",
        method="get",
        name="askByGet",
        tag="chat",
        summary="Ask as an EventSource can, which cannot POST",
        parameters=(
            header("Accept", {"const": "text/event-stream"}, "Needed: this starts something.", needed=True),
            in_query("message", {"type": "string", "minLength": 1}, "The question; not needed with a cursor."),
            in_query("model", _TEXT, "A model's name; left out, the default."),
            in_query("key", KEY, "An idempotency key."),
            *_CURSORS,
        ),
        answers={200: stream("The answer, as it is given.", *_RUN_STREAM), 204: _LOST},
        refusals=(404, 406, 422),
    ),
    Operation(
        path="/api/chat/{run}",
        method="get",
        name="watch",
        tag="chat",
        summary="Watch an answer from its start or a cursor, or look at its state",
        parameters=(_RUN, *_CURSORS, in_query("snapshot", {"enum": ["0", "1"]}, "Begin with all that was said: `1`.")),
        answers={200: stream("The answer, or its state.", *_RUN_STREAM, beside=ref("Run")), 204: _LOST},
        refusals=(404,),
    ),
    Operation(
        path="/api/chat/{run}",
        method="delete",
        name="cancel",
        tag="chat",
        summary="Cancel an answer",
        parameters=(_RUN,),
        answers={200: json(ref("Cancelled"), "How the answer stands now.")},
        refusals=(404,),
    ),
    Operation(
        path="/api/chat/{run}/viewers",
        method="get",
        name="watching",
        tag="chat",
        summary="How many watch an answer, now or as it changes",
        parameters=(_RUN,),
        answers={
            200: stream("How many they are.", "Tailrace-Heartbeat", beside=ref("Watching")),
            204: nothing("The answer has ended; a stream of who watches it tells nothing more."),
        },
        refusals=(404,),
    ),
)

_EVENTS: Final[Sequence[Operation]] = (
    Operation(
        path="/events/{channel}",
        method="post",
        name="publish",
        tag="channels",
        summary="Publish an event",
        text="A body in plain text is the data as it is. The answer comes when the store has the event.",
        parameters=(_CHANNEL,),
        body=json_body(ref("PublishBody"), example={"data": {"eur": 1.07}, "event": "tick"}, text=True),
        answers={200: json(ref("Published"), "The event is there, with this id.")},
        refusals=(422,),
    ),
    Operation(
        path="/events/{channel}",
        method="get",
        name="subscribe",
        tag="channels",
        summary="Follow a channel, or read what it retains",
        parameters=(_CHANNEL, *_READING),
        answers={200: stream("Its events, or what it retains.", "Tailrace-Heartbeat", beside=ref("Retained"))},
        refusals=(422,),
    ),
    Operation(
        path="/events/{channel}",
        method="delete",
        name="drop",
        tag="channels",
        summary="Drop a channel's history",
        parameters=(_CHANNEL,),
        answers={200: json(ref("Published"), "It goes on, empty, from this id.")},
        refusals=(422,),
    ),
    Operation(
        path="/events/{channel}/viewers",
        method="get",
        name="viewers",
        tag="channels",
        summary="How many follow a channel, now or as it changes",
        parameters=(_CHANNEL,),
        answers={200: stream("How many they are.", "Tailrace-Heartbeat", beside=ref("Viewers"))},
        refusals=(422,),
    ),
    Operation(
        path="/events",
        method="post",
        name="publishMany",
        tag="channels",
        summary="Publish events to any channels",
        text="Those with an id are there, also where others are refused.",
        body=json_body(ref("PublishManyBody"), example={"events": [{"channel": "news", "data": "hello"}]}),
        answers={200: json(ref("PublishedMany"), "All of them are there.")},
        refusals=(422,),
    ),
    Operation(
        path="/events",
        method="get",
        name="subscribeMany",
        tag="channels",
        summary="Follow several channels on one connection, or read what they retain",
        parameters=(
            in_query(
                "channel",
                {**some(CHANNEL), "minItems": 1, "maxItems": 100},
                "A channel's name, once for each.",
                needed=True,
            ),
            *_READING,
        ),
        answers={200: stream("Their events, or what they retain.", "Tailrace-Heartbeat", beside=ref("RetainedMany"))},
        refusals=(422,),
    ),
)

_CREDENTIALS: Final[Sequence[Operation]] = (
    Operation(
        path="/auth/ticket",
        method="post",
        name="ticket",
        tag="credentials",
        summary="Get a ticket for a URL, or one with which others may watch an answer",
        body=json_body(ref("TicketBody"), example={"path": "/events/prices?event=tick"}),
        answers={200: json(ref("Ticket"), "The ticket, and the seconds for which it opens streams.")},
        refusals=(404, 422),
    ),
    Operation(
        path="/auth/session",
        method="get",
        name="whoami",
        tag="credentials",
        summary="Who is signed in, and what they may do",
        answers={200: json(ref("Session"), "The caller.")},
    ),
    Operation(
        path="/auth/session",
        method="post",
        name="signIn",
        tag="credentials",
        summary="Sign a page of this server in, with the credential of this request",
        answers={200: json(ref("Session"), "The caller, with a cookie where credentials are known here.")},
    ),
    Operation(
        path="/auth/session",
        method="delete",
        name="signOut",
        tag="credentials",
        summary="Have the browser forget its session",
        answers={204: nothing("It is forgotten.")},
    ),
)

_MEASURED: Final = (
    *[
        in_query(name, {"type": "number", "minimum": 0, "maximum": most}, "How much of it.")
        for name, most in (("ticks", 100), ("every", 2), ("flood", 32), ("quiet", 300), ("pad", 4096))
    ],
    in_query("echo", _TEXT, "Said back."),
)

_OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        path="/health",
        method="get",
        name="health",
        tag="operations",
        summary="How the server is",
        answers={200: json(ref("Health"), "What is going on, in all its processes.")},
        open=True,
    ),
    Operation(
        path="/health/live",
        method="get",
        name="live",
        tag="operations",
        summary="Whether this process answers",
        answers={200: json(ref("Probe"), "It does.")},
        open=True,
    ),
    Operation(
        path="/health/ready",
        method="get",
        name="ready",
        tag="operations",
        summary="Whether this process may be sent work",
        answers={200: json(ref("Probe"), "It may."), 503: json(ref("Probe"), "It is leaving.")},
        open=True,
    ),
    Operation(
        path="/metrics",
        method="get",
        name="metrics",
        tag="operations",
        summary="Figures for Prometheus",
        answers={
            200: {
                "description": "In its text format, or in OpenMetrics where that is accepted.",
                "content": {
                    "text/plain": {"schema": _TEXT},
                    "application/openmetrics-text": {"schema": _TEXT},
                },
            }
        },
    ),
    *[
        Operation(
            path=f"{before}/doctor/stream",
            method="get",
            name=name,
            tag="operations",
            summary="A stream to measure what lies between here and there, for `tailrace doctor`",
            parameters=_MEASURED,
            answers={200: stream("What came, then what was asked for.", *_RUN_STREAM)},
            refusals=(422,),
            manner="Refusal" if before == "/v1" else "Problem",
            open=True,
        )
        for before, name in (
            ("", "doctorStream"),
            # The same where a proxy's rules for the streams proper hold.
            ("/api/chat", "doctorChatStream"),
            ("/events", "doctorEventsStream"),
            ("/v1", "doctorForeignStream"),
        )
    ],
    Operation(
        path="/doctor/body",
        method="post",
        name="doctorBody",
        tag="operations",
        summary="How long a body was that arrived",
        body={"required": False, "content": {"application/octet-stream": {"schema": {}}}},
        answers={200: json(ref("Arrived"), "Its length in bytes.")},
        open=True,
    ),
    Operation(
        path="/dashboard/events",
        method="get",
        name="dashboardEvents",
        tag="operations",
        summary="The figures of all processes, as they come",
        answers={200: stream("The figures.", "Tailrace-Heartbeat")},
    ),
    Operation(
        path="/dashboard/cancel",
        method="post",
        name="dashboardCancel",
        tag="operations",
        summary="Cancel an answer, whosever it is",
        body=json_body(form({"run": _NAMED})),
        answers={200: json(ref("Asked"), "It is cancelled."), 202: json(ref("Asked"), "Another process was asked to.")},
        refusals=(404, 422),
    ),
    Operation(
        path="/dashboard/drain",
        method="post",
        name="dashboardDrain",
        tag="operations",
        summary="Have a process leave, as SIGTERM does",
        body=json_body(form({"instance": _NAMED})),
        answers={202: json(ref("Asked"), "It was asked to.")},
        refusals=(404, 422),
    ),
    Operation(
        path="/ws",
        method="get",
        name="webSocket",
        tag="channels",
        summary="The same over a WebSocket, for whoever asks to upgrade",
        answers={101: nothing("What follows is no HTTP.")},
        refusals=(426,),
    ),
    Operation(
        path="/openapi.json",
        method="get",
        name="openapi",
        tag="operations",
        summary="This document",
        answers={200: json({"type": "object"}, "It, as JSON.")},
        open=True,
    ),
)

_FILE: Final = at_path("name", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}, "A file's name.")
_KINDS: Final = ("text/html", "text/css", "text/javascript", "image/svg+xml")

_PAGES: Final[Sequence[Operation]] = (
    *[
        Operation(
            path=path,
            method="get",
            name=name,
            tag="pages",
            summary=summary,
            answers={200: page("text/html", "The page.")},
            refusals=refusals,
            open=path == "/",
        )
        for path, name, summary, refusals in (
            ("/", "chatPage", "The chat page", ()),
            ("/demo", "demoPage", "A dashboard to try channels with", (404,)),
            ("/dashboard", "dashboardPage", "The live operations page", ()),
        )
    ],
    *[
        Operation(
            path=f"/static{folder}/{{name}}",
            method="get",
            name=name,
            tag="pages",
            summary="What the pages consist of",
            parameters=(_FILE,),
            answers={200: {"description": "The file.", "content": {kind: {"schema": _TEXT} for kind in _KINDS}}},
            refusals=(404,),
            open=True,
        )
        for folder, name in (("", "file"), ("/dashboard", "dashboardFile"), ("/demo", "demoFile"))
    ],
)

NATIVE: Final[Sequence[Operation]] = (*_CHAT, *_EVENTS, *_CREDENTIALS, *_OPERATIONS, *_PAGES)
