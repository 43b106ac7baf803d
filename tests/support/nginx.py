"""A real nginx in front of several instances: as deploy/nginx sets it up, or set up wrongly on purpose.

    with nginx([a.address, b.address]) as front:
        ask(front, "GET", "/health")

Where an instance is away it fails to connect, and asks the next one. It does so for each request anew
(`max_fails=0`): it would take an instance back only when a request there was *complete*, which streams are not for
long, and meanwhile the others may be away.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployed import deployed
from tests.support.ports import free_port
from tests.support.proxy import Address, proxy

__all__ = ["nginx", "nginx_tls", "nginx_with"]

_AROUND = """
{user}
daemon off;
pid {folder}/pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {inside}
}}
"""
_INSTANCES = "    server 127.0.0.1:8000 max_fails=0;\n    server 127.0.0.1:8001 max_fails=0;\n"
_LOCATIONS = "/etc/nginx/tailrace/locations"
_START = ("-p", ".", "-c", "conf", "-e", "stderr")


@contextmanager
def nginx(instances: Sequence[Address], **changes: str) -> Iterator[Address]:
    """Run nginx in front of `instances` with our own files; yield its address.

    `changes` are directives that have another value here, such as `proxy_read_timeout="2s"`.
    """
    with proxy("nginx", _START, lambda port, folder: _ours(port, folder, instances, changes)) as address:
        yield address


@contextmanager
def nginx_tls(instances: Sequence[Address], folder: Path) -> Iterator[Address]:
    """Run it with TLS too; yield that address. Its certificate, which nobody signed, is `cert.pem` in `folder`."""
    tls = free_port()
    _certify(folder)

    changes = {"listen 443 ssl": f"listen 127.0.0.1:{tls} ssl", _LOCATIONS: "locations"}
    changes["/etc/nginx/tailrace/fullchain.pem"] = str(folder / "cert.pem")
    changes["/etc/nginx/tailrace/privkey.pem"] = str(folder / "key.pem")

    def configured(port: int, home: Path) -> str:
        (home / "tls.conf").write_text(deployed("nginx/tailrace-tls.conf", changes))
        return _ours(port, home, instances, {}, "include tls.conf;")

    with proxy("nginx", _START, configured):
        yield "127.0.0.1", tls


@contextmanager
def nginx_with(instance: Address, each: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Address]]:
    """Run a plain nginx in front of one instance, with a port for each of several ways to set it up; yield those.

    A way is a set of directives and their values (which may be blocks) beside, or instead of, the usual ones.
    """
    ports = {name: free_port() for name in each}
    usual = {"proxy_http_version": "1.1", "client_max_body_size": "2m", "proxy_set_header Host": "$http_host"}
    usual |= {"proxy_set_header Connection": '""', "proxy_pass": f"http://{instance[0]}:{instance[1]}"}

    def configured(port: int, folder: Path) -> str:
        servers = [_server(port, usual), *[_server(ports[name], {**usual, **each[name]}) for name in each]]
        return _around(folder, "\n".join(servers))

    with proxy("nginx", _START, configured):
        yield {name: ("127.0.0.1", port) for name, port in ports.items()}


def _server(port: int, directives: Mapping[str, str]) -> str:
    said = " ".join([f"{name} {value}" + ("" if value.endswith("}") else ";") for name, value in directives.items()])
    return f"server {{ listen 127.0.0.1:{port}; location / {{ {said} }} }}"


def _ours(port: int, folder: Path, instances: Sequence[Address], changes: Mapping[str, str], also: str = "") -> str:
    servers = "".join([f"    server {host}:{number} max_fails=0;\n" for host, number in instances])
    where = {"listen 80;": f"listen 127.0.0.1:{port} backlog=4096;", _LOCATIONS: "locations"}
    (folder / "upstream.conf").write_text(deployed("nginx/upstream.conf", {_INSTANCES: servers}))
    (folder / "tailrace.conf").write_text(deployed("nginx/tailrace.conf", where))
    locations = deployed("nginx/locations", {})
    for name, value in changes.items():
        before = next(line for line in locations.splitlines() if line.startswith(f"{name} "))
        locations = locations.replace(before, f"{name} {value};")
    (folder / "locations").write_text(locations)
    return _around(folder, f"include upstream.conf; include tailrace.conf; {also}")


def _around(folder: Path, inside: str) -> str:
    # Workers of a root's nginx would belong to nobody, who may not use the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    return _AROUND.format(folder=folder, inside=inside, user=user)


def _certify(folder: Path) -> None:
    asked = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    command = ["openssl", "req", *asked, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run(command, check=True, capture_output=True)
