"""For each fault the line that mends it, for each proxy; and whose proxy it seems to be.

`tailrace` is the server itself: its settings. A proxy that cannot have a fault, or does the right thing unless it is
told otherwise, has the line that is to be taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["guess", "mend"]

_PROXIES: Final = ("nginx", "caddy", "haproxy", "cloudflare")

Lines = Mapping[str, tuple[str, ...]]


def guess(headers: Mapping[str, str]) -> str | None:
    """The proxy that an answer's headers speak of; None where they are silent, as behind HAProxy."""
    said = f"{headers.get('server', '')} {headers.get('via', '')}".lower()
    if "cf-ray" in headers or "cloudflare" in said:
        return "cloudflare"
    names = {"nginx": "nginx", "openresty": "nginx", "caddy": "caddy", "haproxy": "haproxy"}
    return next((proxy for name, proxy in names.items() if name in said), None)


def mend(check: str, proxy: str | None, **values: object) -> Lines:
    """The lines against a fault, with `values` put in: those for `proxy`, or for all where it is not known.

    Behind Cloudflare there is often another one, so all are shown there too.
    """
    lines = _LINES.get(check, {})
    shown = ("tailrace", *_PROXIES) if proxy in {None, "cloudflare"} else ("tailrace", proxy)
    return {name: tuple([line % values for line in lines[name]]) for name in shown if name in lines}


_KEEP_HEADERS: Final = "no Transform Rule that removes or sets %(header)s"

_REQUEST_HEADER: Final[Lines] = {
    "nginx": ("proxy_set_header %(header)s $http_%(variable)s;",),
    "caddy": ("take out: header_up -%(header)s",),
    "haproxy": ("take out: http-request del-header %(header)s",),
    "cloudflare": (_KEEP_HEADERS,),
}

_RESPONSE_HEADER: Final[Lines] = {
    "nginx": ("proxy_pass_header %(header)s;", "take out: proxy_hide_header, expires, add_header for %(header)s"),
    "caddy": ("take out: header_down, header for %(header)s",),
    "haproxy": ("take out: http-response del-header, set-header for %(header)s",),
    "cloudflare": (_KEEP_HEADERS,),
}

_LINES: Final[Mapping[str, Lines]] = {
    "redirect": {"tailrace": ("give clients the URL %(url)s",)},
    "buffering": {
        "nginx": ("proxy_buffering off;", "take out: proxy_ignore_headers X-Accel-Buffering"),
        # Not flush_interval -1: then Caddy goes on asking when the client has gone. Event streams it flushes anyway.
        "caddy": ("take out: buffer_responses, response_buffers",),
        "haproxy": ("option http-no-delay", "take out: filters and http-response rules that wait for the body"),
        "cloudflare": ("Network > Response Buffering: off",),
    },
    "compression": {
        "nginx": ("gzip off;", "or take text/event-stream (and *) out of gzip_types"),
        "caddy": ("@whole not path /api/* /events* /v1/* /doctor/*", "encode @whole gzip zstd"),
        "haproxy": ("compression type text/html text/css text/javascript application/json",),
        "cloudflare": ("Rules > Compression Rules: none for text/event-stream",),
    },
    "idle-timeout": {
        "nginx": ("proxy_read_timeout 60s;",),
        "caddy": ("take out: read_timeout in transport http, and write in servers > timeouts",),
        "haproxy": ("timeout server 60s", "timeout client 60s"),
        "cloudflare": ("its limit is 100 s without a byte; look at what stands behind it",),
        "tailrace": ("[server] heartbeat = %(heartbeat)g",),
    },
    "total-timeout": {
        "caddy": ("take out: write in servers > timeouts",),
        "cloudflare": ("it has none; look at what stands behind it",),
    },
    "upstream-http": {
        "nginx": ("proxy_http_version 1.1;", 'proxy_set_header Connection "";'),
        "caddy": ("transport http { versions 1.1 }",),
        "cloudflare": ("it speaks 1.1 or 2; look at what stands behind it",),
    },
    "content-type": _RESPONSE_HEADER,
    "cache-control": _RESPONSE_HEADER,
    "tailrace-heartbeat": _RESPONSE_HEADER,
    "tailrace-run": _RESPONSE_HEADER,
    "last-event-id": _REQUEST_HEADER,
    "idempotency-key": _REQUEST_HEADER,
    "accept": _REQUEST_HEADER,
    "authorization": _REQUEST_HEADER,
    "x-api-key": _REQUEST_HEADER,
    "host": _REQUEST_HEADER,
    "query": {
        "nginx": ("proxy_pass http://tailrace;  # without a path, or with $is_args$args",),
        "caddy": ("take out: uri query, and rewrite to a path without {query}",),
        "haproxy": ("take out: http-request set-query, replace-uri",),
        "cloudflare": ("no URL Rewrite Rule that sets the query",),
    },
    "body-limit": {
        "nginx": ("client_max_body_size %(megabytes)gm;",),
        "caddy": ("request_body { max_size %(megabytes)gMiB }",),
        "haproxy": ("take out: http-request rules on req.body_size",),
        "cloudflare": ("its limit is 100 MB; look at what stands behind it",),
    },
    "http2": {
        "nginx": ("listen 443 ssl http2;",),
        "caddy": ("servers { protocols h1 h2 h3 }",),
        "haproxy": ("bind :443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1",),
        "cloudflare": ("Speed > Protocol Optimization > HTTP/2: on",),
    },
    "cors": {
        "tailrace": ('[server] cors_origins = ["%(origin)s"]',),
        "nginx": ("take out: proxy_hide_header Access-Control-*, add_header Access-Control-*, return for OPTIONS",),
        "caddy": ("take out: header Access-Control-*, respond for OPTIONS",),
        "haproxy": ("take out: http-response del-header Access-Control-*, http-request return for OPTIONS",),
        "cloudflare": ("no Transform Rule on Access-Control-*",),
    },
}
