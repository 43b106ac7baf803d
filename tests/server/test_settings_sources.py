"""[sources.*]: files whose lines are published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.errors import SettingsError
from tailrace.server.settings import load


def read(folder: Path, toml: str) -> object:
    path = folder / "t.toml"
    path.write_text(toml)
    return load(path, {}, {}).sources


def test_a_source_is_a_file_and_a_channel(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        "[sources.a]\nfile = 'app.log'\nchannel = 'logs'\n"
        "[sources.b]\nfile = '/var/log/b'\nchannel = 'logs'\nevent = 'b'\nfrom = 'start'\n"
    )
    sources = load(tmp_path / "t.toml", {}, {}).sources
    assert (sources["a"].file, sources["a"].event, sources["a"].start) == (str(tmp_path / "app.log"), None, "end")
    assert (sources["b"].file, sources["b"].event, sources["b"].start) == ("/var/log/b", "b", "start")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("channel = 'logs'", r"\[sources.a\].*missing required field `file`"),
        ("file = 'x'", r"\[sources.a\].*missing required field `channel`"),
        ("file = ''\nchannel = 'logs'", "file: "),
        ("file = 3\nchannel = 'logs'", "file: "),
        ("file = 'x'\nchannel = 'a b'", "channel: a channel's name is"),
        ("file = 'x'\nchannel = 'a'\nevent = 'ready'", "event: .*one of Tailrace's own"),
        ("file = 'x'\nchannel = 'a'\nfrom = 'middle'", "from: expected one of end, start; got 'middle'"),
        ("file = 'x'\nchannel = 'a'\nstart = 'end'", "unknown key 'start'"),
        ("file = 'x'\nchanel = 'a'", "unknown key 'chanel' .did you mean 'channel'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, lines: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(tmp_path, f"[sources.a]\n{lines}\n")


def test_a_variable_cannot_name_a_source() -> None:
    with pytest.raises(SettingsError, match=r"\[sources\] is set in a settings file only"):
        load(None, {"TAILRACE_SOURCES_A": "x"}, {})
