"""Settings: what is read, from where, and what is refused in which words."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.server.settings import (
    Channels,
    Chat,
    Model,
    Provider,
    Secret,
    Server,
    Settings,
    Store,
    Target,
    Timeouts,
    load,
)

Read = Callable[..., Settings]

LOCAL = "[providers.local]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a reader of a settings file with this text."""

    def read(toml: str, environ: dict[str, str] | None = None, **flags: object) -> Settings:
        path = tmp_path / "t.toml"
        path.write_text(toml)
        return load(path, environ or {}, flags)

    return read


class TestDefaults:
    def test_with_nothing_set_the_demo_answers_from_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        settings = load(None, {}, {})
        assert msgspec.structs.replace(settings, notes=()) == Settings()
        assert settings.providers == {"demo": Provider(kind="demo")}
        assert settings.store.url == "memory://"
        assert settings.chat.default_model == "demo/demo"

    def test_each_default_is_the_documented_one(self) -> None:
        assert msgspec.structs.asdict(Server()) == {
            "host": "127.0.0.1",
            "port": 8000,
            "heartbeat": 15,
            "write_timeout": 30,
            "drain_delay": 0,
            "drain_timeout": 25,
            "max_body": 1_048_576,
            "cors_origins": (),
            "trusted_proxies": (),
            "allowed_hosts": (),
            "demo": "auto",
        }
        assert (Store().url, Store().prefix) == ("memory://", "tailrace")
        assert (Chat().grace, Chat().max_run_bytes, Chat().keep_ended) == (10, 8_388_608, 900)
        assert msgspec.structs.astuple(Channels()) == (1000, 1_048_576, 3600)
        assert msgspec.structs.astuple(Timeouts()) == (5, 60, 60, 900)

    @pytest.mark.parametrize(
        ("variable", "name", "kind", "base_url"),
        [
            ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com"),
            ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com/v1"),
            ("EZAI_API_KEY", "ezai", "anthropic", "https://api.ezaiapi.com"),
        ],
    )
    def test_a_key_in_the_environment_adds_its_provider_and_makes_it_the_default(
        self, read: Read, variable: str, name: str, kind: str, base_url: str
    ) -> None:
        settings = read("", {variable: "sk-1"})
        assert list(settings.providers) == ["demo", name]
        assert settings.providers[name] == Provider(kind=kind, base_url=base_url, api_key=Secret("sk-1"))  # type: ignore[arg-type]
        assert settings.chat.default_model.startswith(f"{name}/")
        assert f"default model: {settings.chat.default_model} (the first provider is {name}" in settings.notes[0]

    def test_an_empty_key_in_the_environment_adds_nothing(self, read: Read) -> None:
        assert list(read("", {"OPENAI_API_KEY": " "}).providers) == ["demo"]

    def test_a_file_with_providers_has_those_alone(self, read: Read) -> None:
        assert list(read(LOCAL, {"OPENAI_API_KEY": "sk-1"}).providers) == ["local"]

    def test_a_default_that_was_chosen_by_the_operator_needs_no_note(self, read: Read) -> None:
        (note,) = read("[chat]\ndefault_model = 'demo'").notes
        assert note.startswith("no credential is required")

    def test_the_first_named_model_is_the_default(self, read: Read) -> None:
        settings = read("[models.smart]\ntargets = [{ provider = 'demo', model = 'demo' }]")
        assert settings.chat.default_model == "smart"
        assert settings.models == {"smart": Model(targets=(Target(provider="demo", model="demo"),))}


class TestOrder:
    def test_the_environment_overrides_the_file_and_a_flag_overrides_both(self, read: Read) -> None:
        toml = "[server]\nhost = 'file'\nport = 1\nheartbeat = 1\n"
        environ = {"TAILRACE_SERVER_HOST": "environ", "TAILRACE_SERVER_PORT": "2"}
        server = read(toml, environ, host="flag", port=None).server
        assert (server.host, server.port, server.heartbeat) == ("flag", 2, 1)

    def test_a_flag_sets_the_store(self, read: Read) -> None:
        assert read("", store="memory://").store.url == "memory://"

    @pytest.mark.parametrize(
        "text", ['["https://a.example", "https://b.example"]', "https://a.example,https://b.example,"]
    )
    def test_a_variable_holds_a_list_as_json_or_with_commas(self, read: Read, text: str) -> None:
        assert read("", {"TAILRACE_SERVER_CORS_ORIGINS": text}).server.cors_origins == (
            "https://a.example",
            "https://b.example",
        )

    def test_variables_of_others_are_left_alone(self, read: Read) -> None:
        environ = {"TAILRACE_URL": "x", "TAILRACE_SECRET": "x", "TAILRACE_": "x", "SERVER_PORT": "x", "TAILRACE": "x"}
        assert read("", environ).server == Server()

    def test_the_file_of_the_working_directory_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "tailrace.toml").write_text("[server]\nport = 1234")
        monkeypatch.chdir(tmp_path)
        assert load(None, {}, {}).server.port == 1234

    def test_a_run_may_go_on_unwatched_to_its_end(self, read: Read) -> None:
        assert read("[chat]\ngrace = inf").chat.grace == math.inf


class TestRefusals:
    @pytest.mark.parametrize(
        ("toml", "told"),
        [
            ("[server]\nprot = 1", "t.toml: [server]: unknown key 'prot' (did you mean 'port'?)"),
            ("[server]\nxyzzy = 1", "t.toml: [server]: unknown key 'xyzzy'"),
            ("[sever]\nport = 1", "t.toml: unknown section [sever] (did you mean [server]?)"),
            ("port = 1", "t.toml: port stands outside of any section; it belongs under [server]"),
            ("server = 1", "t.toml: [server]: expected a table of keys, got 1"),
            ("[server]\nport = 'x'", "t.toml: [server] port: expected `int`, got 'x'"),
            ("[server]\nport = true", "t.toml: [server] port: expected `int`, got True"),
            ("[server]\nport = 70000", "t.toml: [server] port: expected `int` <= 65535, got 70000"),
            ("[server]\nheartbeat = inf", "t.toml: [server] heartbeat: expected `float` <= 86400.0, got inf"),
            ("[server]\nheartbeat = nan", "t.toml: [server] heartbeat: expected `float` > 0.0, got nan"),
            ("[server]\ncors_origins = ['a']", "cors_origins: expected https://name[:port] or *, got 'a'"),
            ("[server]\ncors_origins = ['https://a/']", "cors_origins: expected https://name[:port] or *"),
            ("[server]\ntrusted_proxies = ['a']", "trusted_proxies: expected an address, a network or *, got 'a'"),
            ("[server]\nallowed_hosts = ['a/b']", "allowed_hosts: expected a host name, *.name or *, got 'a/b'"),
            ("[store]\nurl = 'redis://h/x'", "[store] url: what stands last is the database, a number"),
            ("[store]\nurl = 'sqlite://x.db'", "[store] url: expected memory://, sqlite:///relative/path.db, "),
            ("[store]\nurl = 'mysql://h'", "[store] url: expected memory://, sqlite:///relative/path.db, "),
            ("[store]\nprefix = '{'", "[store] prefix: expected 1 to 64 of A-Z a-z 0-9 . _ : -; got '{'"),
            ("[limits]\nfail = 'shut'", "[limits] fail: expected one of open, closed, local; got 'shut'"),
            ("[limits]\nmax_streams = -1", "[limits] max_streams: expected `int` >= 0, got -1"),
            ("[limits]\nrequests_per_hour = 1", "[limits]: unknown key 'requests_per_hour'"),
            ("[chat]\ndefault_model = 'x'", "[chat] default_model: nothing answers to 'x'; known: demo, demo/<model>"),
            ("[serv", "t.toml: not valid TOML"),
            ("[providers]\na = 1", "[providers.a]: expected a table of keys, got 1"),
            (
                "[providers.a]",
                "[providers.a] kind: expected one of anthropic, openai, openai-responses, demo; it is missing",
            ),
            (
                "[providers.a]\nkind = 'x'",
                "[providers.a] kind: expected one of anthropic, openai, openai-responses, demo; got 'x'",
            ),
            (
                "[providers.a]\nkind = 'openai'",
                "api_key: missing, and https://api.openai.com/v1 answers nobody without",
            ),
            ("[providers.a]\nkind = 'demo'\nbase_url = 'x'", "[providers.a] base_url: expected https://host[/path]"),
            ("[providers.a]\nkind = 'demo'\nbase_url = 'http://u:p@h'", "base_url: expected https://host[/path]"),
            ("[providers.a]\nkind = 'demo'\nbase_url = 'http://['", "base_url: expected https://host[/path]"),
            (
                "[providers.'a b']\nkind = 'demo'",
                "[providers.a b]: a name is made of letters, digits, '_', '.' and '-'",
            ),
            (
                "[providers.a]\nkind = 'demo'\ntimeouts = { conect = 1 }",
                "[providers.a] timeouts: unknown key 'conect' (did you mean 'connect'?)",
            ),
            (
                "[providers.a]\nkind = 'demo'\ntimeouts = { connect = '1' }",
                "[providers.a] timeouts.connect: expected `float`, got `str`",
            ),
            ("[models.x]", "[models.x] object missing required field `targets`"),
            ("[models.x]\ntargets = 'x'", "[models.x] targets: expected `array`, got `str`"),
            ("[models.x]\ntargets = [{ provider = 'demo' }]", "targets[0]: object missing required field `model`"),
            (
                "[models.x]\ntargets = [{ provider = 'nobody', model = 'm' }]",
                "[models.x] targets: no provider 'nobody'; configured: demo",
            ),
            (
                "[models.x]\ntargets = [{ provider = 'demo', modle = 'm' }]",
                "[models.x] targets: unknown key 'modle' (did you mean 'model'?)",
            ),
            ("[models.'a/b']\ntargets = [{ provider = 'demo', model = 'm' }]", "'a/b' cannot be a name"),
        ],
    )
    def test_a_file_is_refused_with_place_key_and_what_was_expected(self, read: Read, toml: str, told: str) -> None:
        with pytest.raises(SettingsError) as refused:
            read(toml)
        assert told in str(refused.value)
        assert str(refused.value).count("\n") == 0

    @pytest.mark.parametrize(
        ("variable", "value", "told"),
        [
            ("TAILRACE_SERVER_PORT", "x", "TAILRACE_SERVER_PORT: expected `int`, got 'x'"),
            ("TAILRACE_SERVER_PORT", "", "TAILRACE_SERVER_PORT: expected `int`, got ''"),
            ("TAILRACE_SERVER_PROT", "1", "[server] has no key 'prot' (did you mean TAILRACE_SERVER_PORT?)"),
            ("TAILRACE_STORAGE_URL", "x", "TAILRACE_STORAGE_URL: unknown section (did you mean TAILRACE_STORE_URL?)"),
            ("TAILRACE_AUTH_REQUIRED", "maybe", "TAILRACE_AUTH_REQUIRED: expected true or false, got 'maybe'"),
            ("TAILRACE_AUTH_REQUIRE", "x", "[auth] has no key 'require' (did you mean TAILRACE_AUTH_REQUIRED?)"),
            ("TAILRACE_AUTH_KEYS", "[]", "TAILRACE_AUTH_KEYS: [auth] is set in a settings file only"),
            ("TAILRACE_LIMITS_FAIL", "x", "TAILRACE_LIMITS_FAIL: expected one of open, closed, local; got 'x'"),
            ("TAILRACE_PROVIDERS_A_KIND", "x", "[providers] is set in a settings file only"),
            ("TAILRACE_SERVER_CORS_ORIGINS", "[1]", "TAILRACE_SERVER_CORS_ORIGINS: expected `str`, got '[1]'"),
            ("TAILRACE_SERVER_CORS_ORIGINS", "[1", "TAILRACE_SERVER_CORS_ORIGINS: expected a list, as JSON or with"),
            ("TAILRACE_CHAT_DEFAULT_MODEL", "x", "TAILRACE_CHAT_DEFAULT_MODEL: nothing answers to 'x'"),
        ],
    )
    def test_a_variable_is_refused_by_its_name(self, read: Read, variable: str, value: str, told: str) -> None:
        with pytest.raises(SettingsError) as refused:
            read("", {variable: value})
        assert told in str(refused.value)

    def test_what_is_overridden_is_refused_all_the_same(self, read: Read) -> None:
        with pytest.raises(SettingsError, match=r"t\.toml: \[server\] port: expected `int`"):
            read("[server]\nport = 'x'", port="80")

    def test_a_flag_is_refused_by_its_name(self, read: Read) -> None:
        with pytest.raises(SettingsError, match="--port: expected `int`, got 'x'"):
            read("", port="x")

    def test_a_file_that_was_named_has_to_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="there is no such settings file"):
            load(tmp_path / "none.toml", {}, {})
        with pytest.raises(SettingsError, match="cannot be read"):
            load(tmp_path, {}, {})

    def test_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "t.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(SettingsError, match="not valid TOML"):
            load(tmp_path / "t.toml", {}, {})

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Server(port=-1),
            lambda: Server(host=""),
            lambda: Server(heartbeat=0),
            lambda: Server(cors_origins=("x",)),
            lambda: Chat(max_run_bytes=0),
            lambda: Channels(history_age=math.nan),
            lambda: Timeouts(idle=-1),
            lambda: Provider(kind="x"),  # type: ignore[arg-type]
            lambda: Settings(chat=Chat(default_model="nobody/x")),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_in_code_too(self, make: Callable[[], object]) -> None:
        with pytest.raises(SettingsError):
            make()

    @given(st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3), st.text(max_size=12))
    def test_no_environment_brings_any_other_error(self, environ: dict[str, str], key: str) -> None:
        with suppress(SettingsError):
            load(None, {**environ, f"TAILRACE_SERVER_{key.upper()}": "1", f"TAILRACE_{key}": "1"}, {})


class TestSecrets:
    def provider(self, read: Read, reference: str, environ: dict[str, str] | None = None) -> Provider:
        return read(f"[providers.a]\nkind = 'anthropic'\napi_key = {reference!r}", environ).providers["a"]

    def key(self, read: Read, reference: str, environ: dict[str, str] | None = None) -> str | None:
        secret = self.provider(read, reference, environ).api_key
        return secret.reveal() if secret else None

    def test_a_secret_comes_from_the_environment_or_from_a_file(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("sk-file\n")
        assert self.key(read, "env:KEY", {"KEY": "sk-env"}) == "sk-env"
        assert self.key(read, f"file:{tmp_path}/key") == "sk-file"
        assert self.key(read, "file:key") == "sk-file", "a relative path starts beside the settings file"

    @pytest.mark.parametrize(
        ("reference", "told"),
        [
            ("env:NONE", "the environment variable NONE is not set"),
            ("env:EMPTY", "the environment variable EMPTY: the secret is empty"),
            ("env:", 'expected "env:NAME" or "file:PATH"'),
            ("file:none", "none cannot be read: No such file or directory"),
            ("file:odd", "odd is not text"),
            ("file:two-lines", "has characters that no header can carry"),
        ],
    )
    def test_a_secret_that_is_missing_or_odd_is_refused(
        self, read: Read, tmp_path: Path, reference: str, told: str
    ) -> None:
        (tmp_path / "odd").write_bytes(b"\xff")
        (tmp_path / "two-lines").write_text("a\nb")
        with pytest.raises(SettingsError) as refused:
            self.key(read, reference, {"EMPTY": ""})
        assert told in str(refused.value)
        assert "[providers.a] api_key" in str(refused.value)

    def test_a_secret_in_the_file_itself_is_refused_and_not_repeated(self, read: Read) -> None:
        with pytest.raises(SettingsError) as refused:
            self.key(read, "sk-very-secret")
        assert "very-secret" not in str(refused.value)

    def test_the_address_of_a_store_may_be_a_secret_wherever_it_is_given(self, read: Read, tmp_path: Path) -> None:
        url = "redis://:very-secret@h/2"
        (tmp_path / "url").write_text(f"{url}\n")
        environ = {"REDIS": url, "TAILRACE_STORE_URL": "env:REDIS"}
        for settings in (
            read("[store]\nurl = 'env:REDIS'", {"REDIS": url}),
            read("[store]\nurl = 'file:url'"),
            read("", environ),
            read("", {"REDIS": url}, store="env:REDIS"),
        ):
            assert settings.store.url == url
            assert settings.store.address.shown == "redis://h:6379/2"
            assert "very-secret" not in repr(settings)

    def test_the_address_of_a_store_that_is_missing_or_wrong_is_refused_and_not_repeated(self, read: Read) -> None:
        with pytest.raises(SettingsError, match=r"\[store\] url: the environment variable REDIS is not set"):
            read("[store]\nurl = 'env:REDIS'")
        with pytest.raises(SettingsError, match=r"^TAILRACE_STORE_URL: an @ behind the /;") as refused:
            read("", {"TAILRACE_STORE_URL": "env:REDIS", "REDIS": "redis://:very-secret/x@h:x"})
        assert "very-secret" not in str(refused.value)

    def test_a_secret_is_in_no_repr(self, read: Read) -> None:
        provider = self.provider(read, "env:KEY", {"KEY": "sk-very-secret"})
        assert "very-secret" not in repr(provider) + str(provider) + f"{provider.api_key}"

    def test_a_secret_is_a_value(self) -> None:
        secret = Secret("a")
        assert secret == Secret("a") != Secret("b")
        assert hash(secret) == hash(Secret("a"))
        assert secret != "a"
        change: Any = secret
        with pytest.raises(AttributeError):
            change._text = "b"
