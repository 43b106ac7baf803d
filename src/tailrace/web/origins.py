"""Whose page is asking: requests that start or change something are refused to other people's pages.

A browser sends along what a page of any origin asks for. Those that cost money or write need the page to
be ours, or one that CORS allows. Programs that are no browser send none of these headers.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from tailrace.web.problems import Problem

__all__ = ["Origins", "is_same_origin"]


class Origins:
    """The origins whose pages may use this server; `*` is everyone's."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, headers: Headers) -> None:
        """Refuse a page that is neither ours nor allowed. Raises `Problem` 403."""
        if not self._vouched_for(headers):
            raise Problem(403, "cross_site", "Pages of other sites may not do this; see cors_origins in the settings.")

    def _vouched_for(self, headers: Headers) -> bool:
        if "*" in self._allowed:
            return True
        origin = headers.get("origin")
        if origin in self._allowed:
            return True
        # An old browser sends no Origin at all with a same-origin GET.
        return is_same_origin(headers) or (origin is None and "sec-fetch-site" not in headers)

    @staticmethod
    def check_deliberate(headers: Headers) -> None:
        """Refuse what a browser fetches ahead on a guess. Raises `Problem` 403."""
        purpose = " ".join([headers.get(name, "") for name in ("sec-purpose", "purpose", "x-moz")])
        if "prefetch" in purpose or "prerender" in purpose:
            raise Problem(403, "prefetch", "This starts something, so it is not for prefetching.")


def is_same_origin(headers: Headers) -> bool:
    """Whether a browser says that a page of ours asks, or whoever sits before it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")  # an old browser: a page of ours names us
    return origin is not None and origin.partition("://")[2] == headers.get("host")
