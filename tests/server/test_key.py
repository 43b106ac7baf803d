"""`tailrace key new`, and the key that the commands send."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tailrace.access.keys import hash_of
from tailrace.server.commands import tailrace
from tailrace.server.commands.target import connect, key_for
from tailrace.server.settings import load

HERE = "http://127.0.0.1:8000"


def headers(*arguments: Any, **options: Any) -> dict[str, str]:
    with connect(*arguments, **options) as client:
        given = client._headers
        return dict(given() if callable(given) else given)


def test_a_key_is_shown_once_and_its_hash_can_be_pasted(tmp_path: Path) -> None:
    made = CliRunner().invoke(tailrace, ["key", "new", "--name", "alice", "--scope", "chat", "--scope", "publish:u-*"])
    assert made.exit_code == 0
    key, _, pasted = made.stdout.partition("\n")
    assert key.startswith("tr_")
    assert key not in pasted
    assert key not in made.stderr
    assert tomllib.loads(pasted)["auth"]["required"] is True
    (tmp_path / "t.toml").write_text(pasted)
    (entry,) = load(tmp_path / "t.toml", {}, {}).auth.keys
    assert (entry.name, entry.hash, entry.scopes) == ("alice", hash_of(key), ("chat", "publish:u-*"))


@pytest.mark.parametrize(("option", "value"), [("--scope", "everything"), ("--scope", "publish"), ("--name", 'a"')])
def test_what_the_settings_would_refuse_is_not_made(option: str, value: str) -> None:
    refused = CliRunner().invoke(tailrace, ["key", "new", option, value])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "expected" in refused.stderr or "needs" in refused.stderr


def test_the_key_for_the_server_comes_from_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILRACE_API_KEY", raising=False)
    assert headers(HERE) == {}
    monkeypatch.setenv("TAILRACE_API_KEY", " tr_env\n")
    assert headers(HERE) == {"authorization": "Bearer tr_env"}
    (tmp_path / "key").write_text("tr_file\n")
    assert headers(HERE, tmp_path / "key") == {"authorization": "Bearer tr_file"}


def test_a_key_from_the_environment_is_not_shown_to_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_API_KEY", "tr_env")
    (tmp_path / "key").write_text("tr_file")
    for other in ("https://other.example/events/x", "https://127.0.0.1:8000/x", "http://127.0.0.1:8001/x"):
        assert headers(HERE, asked=other) == {}
        assert headers(HERE, tmp_path / "key", asked=other) == {"authorization": "Bearer tr_file"}
    for ours in ("news", "/events/news", f"{HERE}/events/news"):
        assert headers(HERE, asked=ours) == {"authorization": "Bearer tr_env"}


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"", "is empty"), (b"\xff", "not text")])
def test_a_key_file_that_has_none_is_said(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(click.BadParameter, match=told):
        key_for(file)
