"""Where settings come from: a file, the environment, flags. Each value keeps the name of its place.

The tables under [providers], [models], [sources] and [auth] are left to `loading`: only a file has them.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

import msgspec

from tailrace.errors import SettingsError
from tailrace.server.settings.limits import LimitSettings
from tailrace.server.settings.names import check_known, check_table, did_you_mean
from tailrace.server.settings.observing import Log, Telemetry
from tailrace.server.settings.section import Section
from tailrace.server.settings.sections import Channels, Chat, Server, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["PLAIN", "Given", "as_clause", "from_environ", "from_file", "from_flags", "read_file"]

PLAIN: Final[dict[str, type[Section]]] = {
    "server": Server,
    "store": Store,
    "chat": Chat,
    "channels": Channels,
    "log": Log,
    "telemetry": Telemetry,
    "limits": LimitSettings,
}
"""The sections whose keys stand for themselves, so that a variable or a flag can set one."""

_NAMED: Final = ("providers", "models", "sources")
"""The sections that hold a table for each name."""

_SECTIONS: Final = (*PLAIN, *_NAMED, "auth")

_AUTH: Final = ("required", "secret")
"""The keys of [auth] that stand for themselves; a variable can set those."""

_DEFAULT_FILE: Final = "tailrace.toml"

_FLAGS: Final = {"host": ("server", "host"), "port": ("server", "port"), "store": ("store", "url")}


@dataclass(frozen=True, slots=True)
class Given:
    """A value of a plain section as somebody gave it. `text`: it is a string that stands for another type."""

    origin: str
    section: str
    key: str
    value: object
    text: bool = False

    def read(self) -> object:
        """Return the value as its type. Raises SettingsError, naming the origin."""
        shape = PLAIN[self.section]
        self._check_choices(shape)
        try:
            value = _split(self.value) if self.text and self._is_list() else self.value
            return getattr(msgspec.convert({self.key: value}, shape, strict=not self.text), self.key)
        except msgspec.ValidationError as problem:
            expected = as_clause(str(problem).partition(" - at `")[0].removeprefix(f"{self.key}: "))
            if expected.startswith("expected `"):
                expected = f"{expected.partition(', got `')[0]}, got {self.value!r}"
            raise SettingsError(f"{self.origin}: {expected}") from None

    def _check_choices(self, shape: type[Section]) -> None:
        """Raise SettingsError with the choices where the value is none of them: msgspec names only the value."""
        types = {field.name: field.type for field in msgspec.structs.fields(shape)}
        choices = get_args(types[self.key]) if get_origin(types[self.key]) is Literal else ()
        if choices and self.value not in choices:
            raise SettingsError(f"{self.origin}: expected one of {', '.join(choices)}; got {self.value!r}")

    def _is_list(self) -> bool:
        return isinstance(getattr(PLAIN[self.section](), self.key), tuple)


def read_file(config: Path | None) -> tuple[str, dict[str, Any]]:
    """Return the name of the settings file and its tables, none where no file was named and none is there.

    Raises SettingsError where it cannot be read, is not TOML or has a section that does not exist.
    """
    path = config or Path(_DEFAULT_FILE)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return str(path), {}
        raise SettingsError(f"{path}: there is no such settings file") from None
    except OSError as problem:
        raise SettingsError(f"{path}: cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path}: not valid TOML: {problem}") from None
    for name, table in tables.items():
        _check_section(str(path), name, table)
    return str(path), tables


def from_file(origin: str, tables: Mapping[str, Any]) -> Iterator[Given]:
    """Yield what the plain sections of a file set. Raises SettingsError for an unknown key."""
    for section, shape in PLAIN.items():
        table = tables.get(section, {})
        check_known(f"{origin}: [{section}]", table, shape)
        for key, value in table.items():
            yield Given(f"{origin}: [{section}] {key}", section, key, value)


def from_environ(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield what `TAILRACE_<SECTION>_<KEY>` variables set. Raises SettingsError for an unknown key.

    Other variables under `TAILRACE_` are not ours to judge (`TAILRACE_URL`, the names of secrets),
    unless one looks like a slip in the name of a section.
    """
    for variable, value in environ.items():
        prefix, _, rest = variable.partition("_")
        section, _, key = rest.lower().partition("_")
        if prefix != "TAILRACE" or not key:
            continue
        if section in _NAMED or (section == "auth" and key in {"keys", "jwt"}):
            raise SettingsError(f"{variable}: [{section}] is set in a settings file only")
        if section == "auth":
            _check_known(variable, section, key, _AUTH)
        elif section in PLAIN:
            _check_key(variable, section, key)
            yield Given(variable, section, key, value, text=True)
        elif meant := did_you_mean(section, (*PLAIN, "auth"), f"TAILRACE_{{}}_{key.upper()}", str.upper):
            raise SettingsError(f"{variable}: unknown section{meant}")


def from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    """Yield what flags set; None stands for a flag that was not given."""
    for flag, value in flags.items():
        if value is not None:
            section, key = _FLAGS[flag]
            yield Given(f"--{flag}", section, key, value, text=isinstance(value, str))


def as_clause(sentence: str) -> str:
    """Return a sentence of msgspec's as it reads after a colon."""
    return sentence[:1].lower() + sentence[1:]


def _check_section(origin: str, name: str, table: object) -> None:
    home = next((section for section, shape in PLAIN.items() if name in shape.__struct_fields__), None)
    if name not in _SECTIONS:
        if home and not isinstance(table, dict):
            raise SettingsError(f"{origin}: {name} stands outside of any section; it belongs under [{home}]")
        raise SettingsError(f"{origin}: unknown section [{name}]{did_you_mean(name, _SECTIONS, '[{}]')}")
    check_table(f"{origin}: [{name}]", table)


def _check_key(variable: str, section: str, key: str) -> None:
    _check_known(variable, section, key, PLAIN[section].__struct_fields__)


def _check_known(variable: str, section: str, key: str, known: Sequence[str]) -> None:
    if key not in known:
        meant = did_you_mean(key, known, f"TAILRACE_{section.upper()}_{{}}", str.upper)
        raise SettingsError(f"{variable}: [{section}] has no key {key!r}{meant}")


def _split(text: object) -> object:
    """Read a list that is written as JSON or with commas."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise msgspec.ValidationError("expected a list, as JSON or with commas") from None
    return [each.strip() for each in text.split(",") if each.strip()]
