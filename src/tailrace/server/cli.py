"""The entry point of the command `tailrace`: it turns what went wrong into a line and an exit code.

Exit codes: 0 done, 1 it failed, 2 wrong usage or settings, 130 interrupted. What each command does
is left to `commands`; a fault of ours keeps its traceback, which a report needs.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from tailrace.errors import MissingExtra, RequestRefused, RunError, SettingsError, TailraceError

__all__ = ["main"]

_NEEDED: Final = frozenset(
    {
        "aiohappyeyeballs",
        "aiohttp",
        "click",
        "cryptography",
        "httptools",
        "httpx2",
        "jwt",
        "msgspec",
        "multidict",
        "prometheus_client",
        "starlette",
        "uvicorn",
        "yarl",
    }
)


def main() -> None:
    """Run the command that the arguments of this process name, and exit."""
    sys.exit(_run())


def _run() -> int:
    try:
        return _dispatch()
    except ModuleNotFoundError as missing:
        if missing.name not in _NEEDED:
            raise
        return _fail(str(MissingExtra("the command 'tailrace'", "server")))
    except SettingsError as error:
        return _fail(str(error), 2)
    except (TailraceError, OSError) as error:
        return _fail(_sentence(error))


def _dispatch() -> int:
    import click  # noqa: PLC0415  # its absence is answered by the caller

    from tailrace.server.commands import tailrace  # noqa: PLC0415  # needs click
    from tailrace.server.commands.terminal import ReaderGone  # noqa: PLC0415  # needs click

    try:
        return int(tailrace.main(standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "tailrace"
        return _fail(f"{error.format_message()}\nTry '{command} --help'.", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return 130
    except ReaderGone:
        return _leave_pipe()


def _fail(message: str, code: int = 1) -> int:
    sys.stderr.write(f"tailrace: {message}\n")
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, RunError):
        return f"{error.type}: {error.message}"
    if isinstance(error, RequestRefused):
        return f"the server refused: {error}"
    return str(error)


def _leave_pipe() -> int:
    """Leave quietly: whoever read has what it wanted (`| head`)."""
    # Python flushes stdout once more on its way out, into the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
