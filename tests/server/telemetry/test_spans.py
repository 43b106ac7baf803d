"""What a span and the histograms say of an answer, read back by the SDK's own exporters in memory."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tailrace.chat.ask import Ask, Message
from tailrace.chat.models import Target
from tailrace.errors import ErrorType, MissingExtra, ProviderError
from tailrace.runs import Ended, RunOptions, Status
from tailrace.runs.account import Account
from tailrace.server.settings import Provider, Secret
from tailrace.server.settings import Telemetry as Options
from tailrace.server.telemetry import open_telemetry
from tailrace.server.telemetry.names import Metric
from tailrace.server.telemetry.sending import Seldom, Telemetry
from tailrace.testing import FakeClock

TARGET = Target("claude", "claude-opus")
PARENT = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", "a=1"))
PROVIDERS = {
    "claude": Provider(kind="anthropic", api_key=Secret("k"), base_url="https://claude.example:8443/x"),
    "gpt": Provider(kind="openai", api_key=Secret("k")),
}
ASK = Ask(messages=(Message(role="user", content="SECRET"),), max_tokens=10, temperature=0.5)


class Kept:
    """Telemetry whose spans and figures stay here."""

    def __init__(self, **options: Any) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        settings = Options(endpoint="http://127.0.0.1:9", **options)
        processor = SimpleSpanProcessor(self.exporter)
        self.telemetry = Telemetry(settings, PROVIDERS, {TARGET}, processor, self.reader)

    def follow(self, ended: Ended, parent: tuple[tuple[str, str], ...] = PARENT) -> ReadableSpan:
        self.telemetry.begin(parent, TARGET, ASK).ended(ended)
        return self.exporter.get_finished_spans()[-1]

    def series(self) -> dict[str, list[dict[str, Any]]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        metrics = [
            each for resource in data.resource_metrics for scope in resource.scope_metrics for each in scope.metrics
        ]
        return {metric.name: [dict(point.attributes or {}) for point in metric.data.data_points] for metric in metrics}


def ended(
    status: Status = Status.FINISHED, *, model: str = "claude-opus", estimated: bool = False, **more: Any
) -> Ended:
    usage = {"input_tokens": 3, "output_tokens": 4, "estimated": estimated, "reasoning_tokens": 1}
    tried = [{"provider": "claude", "model": model, "outcome": "answered", "seconds": 0.5}]
    account = Account(usage, model, "claude", 0.5, 2.0, tried)
    return Ended("run-1", status, account, more.get("error"), RunOptions(), "stop" if status is Status.FINISHED else "")


def test_a_span_says_of_an_answer_what_the_conventions_ask_for() -> None:
    span = Kept().follow(ended())
    assert (span.name, span.kind.name, span.status.status_code) == ("chat claude-opus", "CLIENT", StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 10,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "claude-opus",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "server.address": "claude.example",
        "server.port": 8443,
        "tailrace.run.id": "run-1",
        "tailrace.run.status": "finished",
        "tailrace.usage.estimated": False,
    }
    (attempt,) = span.events
    assert (attempt.attributes or {})["tailrace.attempt.outcome"] == "answered"


def test_it_belongs_to_the_trace_of_the_request_and_so_does_what_it_causes() -> None:
    kept = Kept()
    begun = kept.telemetry.begin(PARENT, TARGET, None)
    trace, own = begun.ids
    assert trace == "0af7651916cd43dd8448eb211c80319c"
    assert dict(begun.headers) == {"traceparent": f"00-{trace}-{own}-01", "tracestate": "a=1"}
    begun.ended(ended())
    (span,) = kept.exporter.get_finished_spans()
    assert span.parent is not None
    assert f"{span.parent.span_id:x}" == "b7ad6b7169203331"


def test_without_a_trace_it_begins_one_which_a_sample_may_leave_out() -> None:
    kept = Kept(sample=0)
    begun = kept.telemetry.begin((), TARGET, None)
    flags = dict(begun.headers)["traceparent"].rpartition("-")[2]
    assert not int(flags, 16) & 1, "sampled"
    begun.ended(ended())
    assert not kept.exporter.get_finished_spans()
    assert kept.follow(ended()).parent is not None, "its caller has decided otherwise"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (Status.FAILED, ErrorType.PROVIDER_CUT, StatusCode.ERROR),
        (Status.INTERRUPTED, ErrorType.TAILRACE_INTERRUPTED, StatusCode.ERROR),
        (Status.CANCELLED, ErrorType.CALLER_CANCELLED, StatusCode.UNSET),
    ],
)
def test_who_failed_is_told_by_type_and_a_callers_own_wish_is_no_error(
    status: Status, kind: ErrorType, code: StatusCode
) -> None:
    kept = Kept()
    span = kept.follow(ended(status, error=ProviderError(kind, "SECRET was refused")))
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (code, kind)
    assert all(each["error.type"] == kind for each in kept.series()[Metric.DURATION])
    assert "SECRET" not in span.to_json()


def test_histograms_have_series_for_named_models_alone_and_no_tokens_that_were_guessed() -> None:
    kept = Kept()
    kept.follow(ended())
    for number in range(20):
        kept.follow(ended(model=f"callers-{number}", estimated=True))
    series = kept.series()
    assert {each["gen_ai.request.model"] for each in series[Metric.DURATION]} == {"claude-opus", "other"}
    assert {each["gen_ai.token.type"] for each in series[Metric.TOKENS]} == {"input", "output"}
    assert {each["gen_ai.request.model"] for each in series[Metric.TOKENS]} == {"claude-opus"}
    assert len(series[Metric.FIRST_CHUNK]) == 2


def test_nothing_is_imported_where_no_endpoint_is_named() -> None:
    assert open_telemetry(Options(), {}, ()) is None


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tailrace.server.telemetry.sending", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tailrace\[otel\]'"):
        open_telemetry(Options(endpoint="http://127.0.0.1:4318"), {}, ())


def test_an_exporter_complains_once_a_minute() -> None:
    clock = FakeClock()
    seldom, line = Seldom(clock), logging.LogRecord("x", logging.WARNING, "", 0, "away", (), None)
    heard = []
    for _ in range(180):
        heard.append(seldom.filter(line))
        clock.advance(1)
    assert [second for second, said in enumerate(heard) if said] == [0, 60, 120]
