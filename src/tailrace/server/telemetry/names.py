"""The names of OpenTelemetry's conventions for generative AI, in one table, since they still move.

They are those of the package `opentelemetry-semantic-conventions` 0.66, the newest that is published. All of them are
in development, and live in a repository of their own since (`semantic-conventions-genai`), where the next names of the
metrics are `gen_ai.client.inference.*`. So none is imported from that package: it may drop them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["OPERATION", "PROVIDERS", "Attribute", "Metric"]

OPERATION: Final = "chat"

PROVIDERS: Final = {"anthropic": "anthropic", "openai": "openai", "openai-responses": "openai"}
"""What the conventions call a provider, by the kind of its API; any other keeps its kind's name."""


class Attribute:
    """Of spans and of what is measured."""

    OPERATION: Final = "gen_ai.operation.name"
    PROVIDER: Final = "gen_ai.provider.name"
    REQUEST_MODEL: Final = "gen_ai.request.model"
    REQUEST_STREAM: Final = "gen_ai.request.stream"
    REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
    REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
    REQUEST_TOP_P: Final = "gen_ai.request.top_p"
    RESPONSE_MODEL: Final = "gen_ai.response.model"
    FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
    TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
    INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
    OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
    CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
    CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
    REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
    COUNTED: Final = "gen_ai.token.type"
    SERVER_ADDRESS: Final = "server.address"
    SERVER_PORT: Final = "server.port"
    ERROR_TYPE: Final = "error.type"
    # Ours.
    RUN: Final = "tailrace.run.id"
    STATUS: Final = "tailrace.run.status"
    ESTIMATED: Final = "tailrace.usage.estimated"
    TARGET: Final = "tailrace.provider"
    OUTCOME: Final = "tailrace.attempt.outcome"
    SECONDS: Final = "tailrace.attempt.seconds"


class Metric:
    """What is measured: each a histogram, with the bounds that the conventions ask for."""

    DURATION: Final = "gen_ai.client.operation.duration"
    FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
    TOKENS: Final = "gen_ai.client.token.usage"

    SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    TOKEN_COUNTS: Final = tuple(float(4**power) for power in range(14))
