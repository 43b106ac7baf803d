"""The addresses of stores."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.log.address import StoreAddress
from tailrace.log.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("memory://", StoreAddress("memory")),
        ("sqlite:///events.db", StoreAddress("sqlite", "events.db")),
        ("sqlite:///data/events.db", StoreAddress("sqlite", "data/events.db")),
        ("sqlite:////var/lib/events.db", StoreAddress("sqlite", "/var/lib/events.db")),
        ("sqlite:///with space.db", StoreAddress("sqlite", "with space.db")),
    ],
)
def test_an_address_names_the_kind_and_the_file(url: str, address: StoreAddress) -> None:
    assert StoreAddress.parse(url) == address
    assert (address.shared, address.shown) == (False, url)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress("single", (("h", 6379),))),
        ("redis://h:7000/3", RedisAddress("single", (("h", 7000),), database=3)),
        ("redis://[::1]:7000/", RedisAddress("single", (("::1", 7000),))),
        ("redis://ann:p%40s%2Fs@10.0.0.1", RedisAddress("single", (("10.0.0.1", 6379),), "ann", "p@s/s")),
        ("rediss://:pw@h", RedisAddress("single", (("h", 6379),), password="pw", tls=True)),
        ("redis+sentinel://a,b:26380/main", RedisAddress("sentinel", (("a", 26379), ("b", 26380)), service="main")),
        (
            "redis+sentinel://u:p@a/main/2",
            RedisAddress("sentinel", (("a", 26379),), "u", "p", database=2, service="main"),
        ),
        ("redis+cluster://u:p@a:7000,b", RedisAddress("cluster", (("a", 7000), ("b", 6379)), "u", "p")),
        ("redis+cluster://a/0", RedisAddress("cluster", (("a", 6379),))),
        ("unix://u:p@/run/redis.sock", RedisAddress("single", (("/run/redis.sock", 0),), "u", "p")),
        (
            "rediss+cluster://a?ssl_ca_certs=/etc/ca%20s.pem&ssl_cert_reqs=required",
            RedisAddress("cluster", (("a", 6379),), tls=True, ca_certs="/etc/ca s.pem"),
        ),
        ("rediss://a?ssl_cert_reqs=none", RedisAddress("single", (("a", 6379),), tls=True, verified=False)),
    ],
)
def test_an_address_of_redis_names_its_servers_and_is_shared(url: str, address: RedisAddress) -> None:
    assert StoreAddress.parse(url) == StoreAddress("redis", redis=address)
    assert StoreAddress.parse(url).shared


@pytest.mark.parametrize(("theirs", "ours"), [("valkey", "redis"), ("valkeys", "rediss")])
@pytest.mark.parametrize("rest", ["://h:1/2", "+sentinel://h/main", "+cluster://h"])
def test_valkey_is_reached_as_redis_is(theirs: str, ours: str, rest: str) -> None:
    assert StoreAddress.parse(theirs + rest) == StoreAddress.parse(ours + rest)


@pytest.mark.parametrize(
    "url",
    [
        *["", "memory", "memory://x", "events.db", "postgres://h/d", "redis:h", "redis"],
        *["sqlite", "sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://events.db"],
        *["sqlite:///:memory:", "sqlite:///a.db?mode=ro"],
    ],
)
def test_what_is_no_address_is_refused_with_what_was_expected(url: str) -> None:
    with pytest.raises(SettingsError, match=r"expected memory://, sqlite:///.*, redis://"):
        StoreAddress.parse(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://", "no host"),
        ("redis://h:port", "no host"),
        ("redis://h:70000", "no host"),
        ("redis://h:0", "no host"),
        ("redis://a b", "no host"),
        ("redis://u:p%@x@h:1:2", "no host"),
        ("redis://:a/b@h", "an @ behind the /; .* %2F"),
        ("redis://a,b", r"redis\+sentinel:// or redis\+cluster://"),
        ("redis://h/name", "the database, a number: /0, or nothing$"),
        ("redis://h/-1", "a number"),
        ("redis://h#x", "%23"),
        ("redis://h\n", "character"),
        ("redis://h?ssl_cert_reqs=none", "with TLS"),
        ("rediss://h?timeout=3", "no parameters but"),
        ("rediss://h?ssl_cert_reqs=none&ssl_cert_reqs=required", "no parameters but"),
        ("rediss://h?ssl_cert_reqs=optional", "ssl_cert_reqs=required"),
        ("rediss://h?ssl_ca_certs=", "ssl_ca_certs=PATH"),
        ("redis+sentinel://a,b", "no service"),
        ("redis+sentinel://a/main/x", "a number"),
        ("redis+cluster://a/1", "one database"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:///", "three slashes"),
    ],
)
def test_what_is_wrong_with_an_address_of_redis_is_said(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        StoreAddress.parse(url)


_LETTERS = "PASSWORDX"
_SCHEMES = ["redis", "rediss", "redis+sentinel", "redis+cluster", "unix", "valkey", "postgres", "sqlite", "rediis"]


@given(
    scheme=st.sampled_from(_SCHEMES),
    password=st.text("@/:?#,%[] " + _LETTERS, min_size=1).map(lambda text: "PASSWORDX" + text),
    rest=st.sampled_from(["@h", "@h:1", "@h:x", "@h/main", "@", "@h?x=y", "@/path", "@h,i"]),
)
def test_no_message_and_no_repr_shows_a_password_however_it_is_written(scheme: str, password: str, rest: str) -> None:
    try:
        address = StoreAddress.parse(f"{scheme}://user:{password}{rest}")
        told = address.shown + repr(address)
    except SettingsError as error:
        told = str(error)
    assert "PASSWORDX" not in told


@given(
    user=st.text(),
    password=st.text(),
    hosts=st.lists(
        st.tuples(st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True), st.integers(1, 65535)), min_size=1, max_size=3
    ),
)
def test_a_user_and_password_of_any_characters_can_be_written(
    user: str, password: str, hosts: list[tuple[str, int]]
) -> None:
    where = ",".join(f"{host}:{port}" for host, port in hosts)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    address = RedisAddress.parse(f"redis+cluster://{credentials}@{where}")
    assert address == RedisAddress("cluster", tuple(hosts), user, password)
    assert address.shown == f"redis+cluster://{where}"
