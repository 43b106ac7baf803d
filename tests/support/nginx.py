"""A real nginx in front of several instances, set up as docs/topics/fleet.md says.

    with nginx([a.address, b.address]) as front:
        ask(front, "GET", "/health")

Where an instance is away it fails to connect, and asks the next one. It does so for each request anew
(`max_fails=0`): it would take an instance back only when a request there was *complete*, which streams are not for
long, and meanwhile the others may be away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.proxy import Address, proxy

__all__ = ["nginx"]

_CONFIGURATION = """
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

    upstream tailrace {{
        {servers}
        keepalive 16;
    }}
    # A question with a key starts one run however often it is asked: it may be asked again elsewhere.
    map $request_method:$http_idempotency_key $repeatable {{
        default 0;
        "~^POST:." 1;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_buffering off;
    proxy_connect_timeout 1s;
    proxy_read_timeout 60s;

    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://tailrace;
            proxy_next_upstream error timeout http_503;
        }}
        location = /api/chat {{
            error_page 418 = @repeatable;
            if ($repeatable) {{ return 418; }}
            proxy_pass http://tailrace;
            proxy_next_upstream error timeout http_503;
        }}
        location @repeatable {{
            proxy_pass http://tailrace;
            proxy_next_upstream error timeout http_503 non_idempotent;
        }}
    }}
}}
"""


@contextmanager
def nginx(instances: Sequence[Address]) -> Iterator[Address]:
    """Run nginx in front of `instances`; yield its address."""
    servers = "\n        ".join([f"server {host}:{port} max_fails=0;" for host, port in instances])
    # Workers of a root's nginx would belong to nobody, who may not use the folder.
    user = "user root;" if os.geteuid() == 0 else ""

    def configured(port: int, folder: Path) -> str:
        return _CONFIGURATION.format(port=port, folder=folder, servers=servers, user=user)

    with proxy("nginx", ("-p", ".", "-c", "conf", "-e", "stderr"), configured) as address:
        yield address
