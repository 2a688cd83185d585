"""Names and answers of others on their way to a terminal, a log or a file that people read."""

from __future__ import annotations

import logging
from typing import Any


def printable(text: str) -> str:
    """`text` on one line, with all that would not show as itself escaped.

    That is control characters, line ends, marks that change the direction of writing, and bytes that are no text.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines: their ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00
    # A byte of a file's name that is no UTF-8 comes as one of these.
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else ascii(character)[1:-1]


class LogFormatter(logging.Formatter):
    """A formatter whose records are one line each, whatever their messages quote; a traceback has its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """The lines of a traceback."""
        return printable_lines(super().formatException(ei))


def _escape(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def log_of(name: str) -> logging.Logger:
    """The logger of that name, whose records are printable wherever they go."""
    log = logging.getLogger(name)
    if _escape not in log.filters:
        log.addFilter(_escape)
    return log


def log_to_stderr() -> None:
    """Have this process log to standard error, a line for each record, with the time and the level."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
