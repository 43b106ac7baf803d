"""Reading settings: a file, then the environment, then flags, each overriding the one before.

What is wrong is told with where it stands, which key, what was expected and, for a key that does
not exist, the one that was probably meant. The places are `sources`' matter, the ranges `sections`'.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from tailrace.errors import SettingsError
from tailrace.server.settings.access import Auth, Jwt, PublicKey
from tailrace.server.settings.followed import Source
from tailrace.server.settings.names import check_known
from tailrace.server.settings.secret import resolve
from tailrace.server.settings.section import Section
from tailrace.server.settings.sections import KINDS, Model, Provider, Settings, check_default
from tailrace.server.settings.sources import PLAIN, Given, as_clause, from_environ, from_file, from_flags, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["load"]

_KEYS: Final = {  # environment variable: name, kind and base URL of its provider; an empty URL is the kind's own
    "ANTHROPIC_API_KEY": ("anthropic", "anthropic", ""),
    "OPENAI_API_KEY": ("openai", "openai", ""),
    "EZAI_API_KEY": ("ezai", "anthropic", "https://api.ezaiapi.com"),
}

S = TypeVar("S", bound=Section)


def load(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Read and check the settings.

    `config` is the file; None: `tailrace.toml` of the working directory, where there is one. `flags`
    may have `host`, `port` and `store`; None stands for a flag that was not given. Nothing is read
    but these, the file and the secrets that the file names.

    Raises SettingsError for whatever is unknown, of the wrong type, out of range or missing.
    """
    origin, tables = read_file(config)
    plain: dict[str, dict[str, Any]] = {section: {} for section in PLAIN}
    origins: dict[tuple[str, str], str] = {}
    for each in (*from_file(origin, tables), *from_environ(environ), *from_flags(flags)):
        plain[each.section][each.key] = _revealed(each, environ, Path(origin).parent).read()
        origins[each.section, each.key] = each.origin
    providers = _providers(origin, tables.get("providers", {}), environ)
    models = {name: _model(f"{origin}: [models.{name}]", raw) for name, raw in tables.get("models", {}).items()}
    sources = {name: _source(origin, name, raw) for name, raw in tables.get("sources", {}).items()}
    auth = _auth(origin, tables.get("auth", {}), environ)
    notes: tuple[str, ...] = ()
    if "default_model" in plain["chat"]:
        with _placed(origins["chat", "default_model"]):
            check_default(plain["chat"]["default_model"], providers, models)
    else:
        name, why = _choose_default(providers, models)
        plain["chat"]["default_model"] = name
        notes = (f"default model: {name} ({why}; [chat] default_model chooses another)",)
    with _placed(origin):
        sections: dict[str, Any] = {section: shape(**plain[section]) for section, shape in PLAIN.items()}
        notes += tuple(auth.notes(sections["server"].host, shared=sections["store"].address.shared))
        return Settings(**sections, providers=providers, models=models, sources=sources, auth=auth, notes=notes)


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Name the place of whatever is wrong within."""
    try:
        yield
    except SettingsError as problem:
        raise SettingsError(f"{where}: {problem}") from None


def _revealed(given: Given, environ: Mapping[str, str], folder: Path) -> Given:
    """Return the address of a store itself where it is named as a secret, since it may have a password in it."""
    if (given.section, given.key) != ("store", "url") or not str(given.value).startswith(("env:", "file:")):
        return given
    with _placed(given.origin):
        return replace(given, value=resolve(given.value, environ, folder).reveal())


def _providers(origin: str, tables: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Provider]:
    """Return the file's providers; where it has none, the demo and those whose keys the environment holds."""
    folder = Path(origin).parent
    if tables:
        return {name: _provider(f"{origin}: [providers.{name}]", raw, environ, folder) for name, raw in tables.items()}
    found = {"demo": Provider(kind="demo")}
    for variable, (name, kind, base_url) in _KEYS.items():
        if environ.get(variable, "").strip():
            raw = {"kind": kind, "base_url": base_url, "api_key": f"env:{variable}"}
            found[name] = _provider(variable, raw, environ, folder)
    return found


def _provider(where: str, raw: object, environ: Mapping[str, str], folder: Path) -> Provider:
    check_known(where, raw, Provider)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind not in KINDS:
        got = "it is missing" if kind is None else f"got {kind!r}"
        raise SettingsError(f"{where} kind: expected one of {', '.join(KINDS)}; {got}")
    return _convert(where, raw, Provider, _resolving(environ, folder))


def _resolving(environ: Mapping[str, str], folder: Path) -> Callable[[type, Any], Any]:
    """Return how a value is made that stands somewhere else."""

    def hook(kind: type, reference: Any) -> Any:
        return (PublicKey.resolve if kind is PublicKey else resolve)(reference, environ, folder)

    return hook


def _auth(origin: str, raw: Mapping[str, object], environ: Mapping[str, str]) -> Auth:
    where = f"{origin}: [auth]"
    check_known(where, raw, Auth)
    table = dict(raw)
    for key, kind in (("required", bool), ("secret", str)):
        variable = f"TAILRACE_AUTH_{key.upper()}"
        if variable in environ:
            try:
                table[key] = msgspec.convert(environ[variable], kind, strict=False)
            except msgspec.ValidationError:
                raise SettingsError(f"{variable}: expected true or false, got {environ[variable]!r}") from None
    if isinstance(jwt := table.get("jwt"), dict):
        _check_choices(f"{where} jwt", jwt, Jwt)
    return _convert(where, table, Auth, _resolving(environ, Path(origin).parent))


def _model(where: str, raw: object) -> Model:
    check_known(where, raw, Model)
    _check_choices(where, dict(raw), Model)  # type: ignore[call-overload]  # check_known holds that it is a table
    return _convert(where, raw, Model)


def _source(origin: str, name: str, raw: object) -> Source:
    where = f"{origin}: [sources.{name}]"
    check_known(where, raw, Source)
    _check_choices(where, dict(raw), Source)  # type: ignore[call-overload]  # check_known holds that it is a table
    source = _convert(where, raw, Source)
    return msgspec.structs.replace(source, file=str(Path(origin).parent / source.file))


def _check_choices(where: str, raw: Mapping[str, object], shape: type[Section]) -> None:
    """Raise SettingsError with the choices where a value is none of them: msgspec names only the value."""
    for field in msgspec.structs.fields(shape):
        choices = get_args(field.type)
        name = field.encode_name
        if get_origin(field.type) is Literal and raw.get(name, choices[0]) not in choices:
            raise SettingsError(f"{where} {name}: expected one of {', '.join(choices)}; got {raw[name]!r}")


def _convert(where: str, raw: object, shape: type[S], hook: Callable[[type, Any], Any] | None = None) -> S:
    try:
        return msgspec.convert(raw, shape, dec_hook=hook)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `$")
        key = path.rstrip("`").removeprefix(".")
        raise SettingsError(f"{where} {key}: {as_clause(text)}" if key else f"{where} {as_clause(text)}") from None


def _choose_default(providers: Mapping[str, Provider], models: Mapping[str, Model]) -> tuple[str, str]:
    """Return the model for requests that name none, and why: a named one, else a real provider's, else the demo's."""
    if models:
        name = next(iter(models))
        return name, "the first under [models]"
    name = next((name for name, provider in providers.items() if provider.kind != "demo"), next(iter(providers)))
    why = f"the first provider is {name}" if providers[name].kind != "demo" else "only the demo is there"
    return f"{name}/{KINDS[providers[name].kind].model}", why
