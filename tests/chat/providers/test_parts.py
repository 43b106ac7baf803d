"""Content parts in the form of each API."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.chat.providers.parts import to_anthropic, to_openai, to_responses

URL, DATA = "https://h/a.png", "data:image/png;base64,aGk="
FORMS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}, {"type": "text", "text": "a"}),
    (
        {"type": "image_url", "image_url": {"url": URL, "detail": "auto"}},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
        {"type": "image", "source": {"type": "url", "url": URL}},
    ),
    (
        {"type": "image_url", "image_url": {"url": DATA, "detail": "auto"}},
        {"type": "input_image", "image_url": DATA, "detail": "auto"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    ),
]


@pytest.mark.parametrize("forms", FORMS)
def test_text_and_images_become_each_form_from_each_other(forms: tuple[dict[str, Any], ...]) -> None:
    chat, responses, messages = forms
    for form in forms:
        assert to_anthropic(form) == messages
        assert to_responses(form) == responses
        written = to_openai(form)
        written.get("image_url", {}).setdefault("detail", "auto")  # nothing said means the same
        assert written == chat


def test_what_the_assistant_said_is_output_in_responses() -> None:
    assert to_responses({"type": "text", "text": "a"}, said=True) == {"type": "output_text", "text": "a"}


def test_an_earlier_refusal_is_text_to_others() -> None:
    refusal = {"type": "refusal", "refusal": "No."}
    assert to_anthropic(refusal) == {"type": "text", "text": "No."}
    assert to_responses(refusal, said=True) == {"type": "output_text", "text": "No."}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "x"}},
        {"type": "document", "source": {}},
        {"type": "input_file", "file_id": "x"},
        {"type": "image", "source": {"type": "file", "file_id": "x"}},
        {"type": "image_url", "image_url": "not an object"},
        {"type": "text"},
        {},
    ],
)
def test_a_part_of_another_kind_passes_unread(part: dict[str, Any]) -> None:
    for write in (to_anthropic, to_openai, to_responses):
        assert write(part) is part
