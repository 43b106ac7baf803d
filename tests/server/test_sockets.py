"""The listening socket: what every connection inherits from it, and why it may be impossible."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.errors import SettingsError
from tailrace.server.sockets import SEND_BUFFER, accept_all, adopt, listen, listen_together, shown
from tests.support.server import Server


def test_a_connection_inherits_its_bounds() -> None:
    with listen("127.0.0.1", 0, 30) as listener, socket.create_connection(listener.getsockname()):
        (connection,) = accept_all(listener)
        with connection:
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            probes = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
            assert [connection.getsockopt(socket.IPPROTO_TCP, option) for option in probes] == [10, 5, 3]
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5


def test_who_waits_in_the_accept_queue_is_taken() -> None:
    with listen("127.0.0.1", 0, 30) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(5)]
        taken = accept_all(listener)
        assert {each.getpeername() for each in taken} == {each.getsockname() for each in clients}
        assert not any(each.getblocking() for each in taken)
        assert accept_all(listener) == []
        for each in (*clients, *taken):
            each.close()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} is taken"):
            listen("127.0.0.1", port, 30)


def test_a_port_of_a_moment_ago_is_free_again() -> None:
    with listen("127.0.0.1", 0, 30) as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port)):
            for connection in accept_all(listener):
                connection.close()  # ours first: it is this side that has to wait
    with listen(host, port, 30) as again:
        assert again.getsockname() == (host, port)


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host}"):
        listen(host, 0, 30)


def test_as_many_connections_are_allowed_as_the_system_lets_us_have() -> None:
    """A shell's usual limit is 1024 open files, which is as many readers."""
    with Server(prefix=["prlimit", "--nofile=512:2048"]) as server:
        (line,) = [each for each in Path(f"/proc/{server.pid}/limits").read_text().splitlines() if "open files" in each]
        assert line.split()[3:5] == ["2048", "2048"]


def test_a_v6_address_is_listened_on() -> None:
    with listen("::1", 0, 30) as listener:
        assert listener.family == socket.AF_INET6
        assert shown(listener) == f"[::1]:{listener.getsockname()[1]}"


@pytest.fixture
def together() -> Iterator[list[socket.socket]]:
    """Three sockets on one address."""
    listeners = listen_together("127.0.0.1", 0, 30, 3)
    yield listeners
    for each in listeners:
        each.close()


def test_several_sockets_on_one_address_share_its_connections(together: list[socket.socket]) -> None:
    (address,) = {each.getsockname() for each in together}
    clients = [socket.create_connection(address) for _ in range(120)]
    taken = [accept_all(each) for each in together]
    assert sum(map(len, taken)) == 120
    assert min(map(len, taken)) > 10
    for each in (*clients, *taken[0], *taken[1], *taken[2]):
        each.close()


@pytest.mark.parametrize("count", [1, 2])
def test_an_address_that_others_share_is_taken_all_the_same(together: list[socket.socket], count: int) -> None:
    """The kernel would let us in: we are of the same user. Two services would then get each other's clients."""
    host, port = together[0].getsockname()
    with pytest.raises(SettingsError, match="is taken by another process"):
        listen_together(host, port, 30, count)


def test_an_address_that_one_process_has_for_itself_is_not_shared() -> None:
    with listen("127.0.0.1", 0, 30) as listener, pytest.raises(SettingsError, match="is taken by another process"):
        listen_together("127.0.0.1", listener.getsockname()[1], 30, 2)


def test_a_socket_that_was_handed_on_has_the_bounds_of_whoever_has_it_now(together: list[socket.socket]) -> None:
    with adopt(together[0].detach(), 60) as adopted:
        assert adopted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
        assert not adopted.get_inheritable()
