"""Why nothing can be said: nobody answers at the URL, or it is no Tailrace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.client.doctor.facts import Watched

__all__ = ["NotExamined", "refused"]


class NotExamined(TailraceError):
    """Nothing can be said about this URL. The text says what to look at."""


def refused(url: str, found: Watched) -> NotExamined:
    """Say what it was that answered instead."""
    who = f"the {found.headers['server']} there" if found.headers.get("server") else "what is there"
    kind = found.headers.get("content-type", "no content type").partition(";")[0]
    match found.status:
        case 0:
            return NotExamined(f"{url} did not answer: {found.why}")
        case 200 if any(event.event == "reconnect" for _, event in found.events):
            return NotExamined(f"{url}: the proxy answers, but no instance of Tailrace behind it does")
        case 400:
            return NotExamined(f"{url}: 400; does the server answer to that name? See [server] allowed_hosts")
        case 401 | 403 | 407:
            return NotExamined(f"{url}: {found.status}; {who} asks for credentials, which the probe does not need")
        case 404 | 405 | 200:
            hint = "Does Tailrace answer below another path? Then give that one."
            return NotExamined(f"{url} is no Tailrace: {who} answers {found.status} with {kind}. {hint}")
        case 502 | 503 | 504:
            busy = "too many examinations at once, or no instance of Tailrace behind it that answers"
            return NotExamined(f"{url}: {found.status}; {busy}")
    return NotExamined(f"{url} is no Tailrace, or nothing reaches it: {who} answers {found.status} with {kind}")
