"""An issuer of tokens: two RSA keys, and a server that publishes them.

with Issuer() as issuer:
    issuer.body = published("new")  # from now on, that key alone
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["KEYS", "Issuer", "published"]

KEYS = {name: rsa.generate_private_key(65537, 2048) for name in ("old", "new")}


def published(*names: str, **more: Any) -> bytes:
    each = [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[name].public_key())), "kid": name} for name in names]
    return json.dumps({"keys": [{**key, **more} for key in each]}).encode()


class Issuer:
    """Serves `body` with `status`, and counts how often it was asked; a context manager."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, published("old"), 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                elsewhere = self.path == "/elsewhere"
                self.send_response(200 if elsewhere else issuer.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(published("old") if elsewhere else issuer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
