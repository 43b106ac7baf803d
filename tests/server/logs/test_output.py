"""Writing log lines without waiting for anybody."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from tailrace.server.logs.output import Output


class Pipe:
    """A pipe, and a handler that writes to it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.output = Output(self.writer)

    def log(self, message: str) -> None:
        self.output.handle(logging.LogRecord("tailrace", logging.INFO, "", 0, message, (), None))

    def read(self) -> list[str]:
        return os.read(self.reader, 1 << 20).decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for end in (pipe.reader, pipe.writer):
        os.close(end)


def test_lines_come_out_in_order(pipe: Pipe) -> None:
    for number in range(3):
        pipe.log(str(number))
    assert pipe.read() == ["0", "1", "2"]


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting_and_nothing_is_lost_that_fits(pipe: Pipe) -> None:
    lines = [f"{number} {'x' * 900}" for number in range(500)]
    for line in lines:  # seven times what the pipe holds
        pipe.log(line)
    text = ""
    while text.count("\n") < len(lines):
        text += os.read(pipe.reader, 1 << 20).decode()
        pipe.output.flush()
    assert text.splitlines() == lines
    assert pipe.output.lost == 0


def test_what_is_too_much_is_lost_and_that_is_told_when_somebody_reads_again(pipe: Pipe) -> None:
    for _ in range(20):
        pipe.log("x" * 100_000)
    lost = pipe.output.lost
    assert lost >= 9
    read = b""
    while pipe.output._waiting:
        read += os.read(pipe.reader, 1 << 20)
        pipe.output.flush()
    pipe.log("after")
    while not read.endswith(b"after\n"):
        read += os.read(pipe.reader, 1 << 20)
    *_, told, _ = read.decode().splitlines()
    assert told == f"{lost} log lines are lost, since nobody took them"


def test_a_reader_that_is_gone_and_a_closed_descriptor_are_no_failure_of_whoever_logs() -> None:
    reader, writer = os.pipe()
    output = Output(writer)
    os.close(reader)
    output.handle(logging.LogRecord("tailrace", logging.INFO, "", 0, "x", (), None))
    assert output.lost == 1
    os.close(writer)
    output.handle(logging.LogRecord("tailrace", logging.INFO, "", 0, "x", (), None))
    assert output.lost >= 2


def test_a_full_disk_is_no_failure_of_whoever_logs() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        output = Output(full)
        for _ in range(3):
            output.handle(logging.LogRecord("tailrace", logging.INFO, "", 0, "x", (), None))
        assert output.lost >= 3
    finally:
        os.close(full)
