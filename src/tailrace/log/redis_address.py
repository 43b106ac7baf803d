"""The address of Redis, or of what speaks like it: which servers, as whom, and how they belong together.

    redis://[user:password@]host[:6379][/database]
    redis+sentinel://[user:password@]host[:26379],host…/service[/database]
    redis+cluster://[user:password@]host[:6379],host…
    unix://[user:password@]/path/to.sock

`rediss` instead of `redis` means TLS; `valkey` and `valkeys` are the same as those two. How the servers are
reached is left to the store; this module needs nothing installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

from tailrace.errors import SettingsError

__all__ = ["EXPECTED", "SCHEMES", "RedisAddress"]

Topology = Literal["single", "sentinel", "cluster"]

_PLAIN: Final = ("redis", "valkey")
_SECURE: Final = ("rediss", "valkeys")
SCHEMES: Final = frozenset(
    [name + kind for name in (*_PLAIN, *_SECURE) for kind in ("", "+sentinel", "+cluster")] + ["unix"]
)
EXPECTED: Final = (
    "redis://[user:password@]host[:port][/database], redis+sentinel://[user:password@]host[:port],…/service, "
    "redis+cluster://[user:password@]host[:port],… or unix:///path/to.sock"
)
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]+))(?::(?P<port>[0-9]{1,5}))?")
_TLS: Final = frozenset({"ssl_ca_certs", "ssl_cert_reqs"})


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. Its `repr` and `shown` have no password."""

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    """Each a name or address and a port: the server's, the sentinels', or some of the cluster's nodes. A socket's
    path stands with port 0."""
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    service: str = ""
    """The name under which the sentinels know the master."""
    tls: bool = False
    ca_certs: str = ""
    """A file with the authorities to trust; empty: the system's."""
    verified: bool = True
    """Whether the server must prove, by its certificate, that it is the one that was asked for."""

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read a URL of one of `SCHEMES`. Raises `SettingsError`, which repeats nothing of what may be a password."""
        scheme, _, rest = url.partition("://")
        if "#" in rest or not rest.isprintable():
            raise SettingsError(f"a character that no address has; {_ESCAPED}")
        rest, _, query = rest.partition("?")
        authority, _, path = rest.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        user, _, password = credentials.partition(":")
        name, _, kind = scheme.partition("+")
        tls = name in _SECURE
        ca_certs, verified = _tls(query, tls=tls)
        topology: Topology = "sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "single"
        service, database = _path(topology, path) if name != "unix" else ("", 0)
        return cls(
            topology,
            ((_socket(hosts, path), 0),) if name == "unix" else tuple(_hosts(topology, hosts)),
            unquote(user),
            unquote(password),
            database,
            service,
            tls,
            ca_certs,
            verified,
        )

    @property
    def shown(self) -> str:
        """The address as a message may show it: nothing of who asks, and no parameters."""
        if self.hosts[0][1] == 0:
            return f"unix://{self.hosts[0][0]}"
        name = "rediss" if self.tls else "redis"
        kind = "" if self.topology == "single" else f"+{self.topology}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = "".join(f"/{part}" for part in (self.service, self.database) if part)
        return f"{name}{kind}://{hosts}{path}"


_ESCAPED: Final = "in a user or password write @ / : ? # % as %40 %2F %3A %3F %23 %25"


def _hosts(topology: Topology, text: str) -> Iterator[tuple[str, int]]:
    usual = 26379 if topology == "sentinel" else 6379
    parts = text.split(",")
    if topology == "single" and len(parts) > 1:
        raise SettingsError("several hosts need redis+sentinel:// or redis+cluster://")
    for part in parts:
        found = _HOST.fullmatch(part)
        port = int(found["port"] or usual) if found else 0
        # What stands there may be a password whose "@" or "/" was not escaped.
        if found is None or not 0 < port < 65536:
            raise SettingsError(f"no host[:port] where one should be; {_ESCAPED}; expected {EXPECTED}")
        yield found["v6"] or found["name"], port


def _path(topology: Topology, text: str) -> tuple[str, int]:
    """The service, for sentinels, and the database."""
    service, database = "", text
    if topology == "sentinel":
        service, _, database = text.partition("/")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", service):
            raise SettingsError(f"no service after the hosts: expected {EXPECTED}")
    if topology == "cluster" and database not in {"", "0"}:
        raise SettingsError("a cluster has one database; nothing stands after its hosts")
    if not re.fullmatch(r"[0-9]{0,5}", database):
        if "@" in text:
            raise SettingsError(f"an @ behind the /; {_ESCAPED}")
        raise SettingsError("what stands last is the database, a number: /0, or nothing")
    return service, int(database or 0)


def _socket(hosts: str, path: str) -> str:
    if hosts or not path:
        raise SettingsError("expected unix:///path/to.sock, with three slashes")
    return f"/{unquote(path)}"


def _tls(query: str, *, tls: bool) -> tuple[str, bool]:
    """The file of authorities, and whether certificates are verified."""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if query and not (tls and given and len(pairs) == len(given) and given.keys() <= _TLS):
        raise SettingsError("expected no parameters but ssl_ca_certs=PATH and ssl_cert_reqs=none, and those with TLS")
    if given.get("ssl_cert_reqs", "required") not in {"none", "required"} or not given.get("ssl_ca_certs", "-"):
        raise SettingsError("expected ssl_ca_certs=PATH, ssl_cert_reqs=none or ssl_cert_reqs=required")
    return given.get("ssl_ca_certs", ""), given.get("ssl_cert_reqs") != "none"
