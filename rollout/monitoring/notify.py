"""Tells other programs of this machine and elsewhere: syslog, and a page that waits for pings."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterable
from logging.handlers import SysLogHandler
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

SOCKETS = ("/var/run/log", "/dev/log", "/var/run/syslog")
"""Of syslogd: FreeBSD's, Linux', macOS'."""
_PING_WITHIN = 10.0  # seconds


class _Syslog(SysLogHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """logging itself would print a traceback."""
        raise  # noqa: PLE0704 # it is called where the error was caught


def syslog(lines: Iterable[tuple[int, str]]) -> str:
    """Send lines of a level of logging each. Returns why that failed, or ""."""
    address = next((each for each in SOCKETS if Path(each).is_socket()), None)
    if address is None:
        return f"no syslogd listens on this machine ({', '.join(SOCKETS)})"
    try:
        handler = _Syslog(address, SysLogHandler.LOG_DAEMON)
        handler.ident = "cellblock: "
        try:
            for level, text in lines:
                handler.handle(logging.LogRecord("cellblock", level, "", 0, text, None, None))
        finally:
            handler.close()
    except OSError as error:
        return f"{address}: {error.strerror or error}"
    return ""


def is_url(text: str) -> bool:
    """Whether `ping` can ask for it."""
    try:
        parts = urlsplit(text)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = text.isprintable() and text.isascii() and " " not in text
    return parts.scheme in ("http", "https") and has_place and plain


def ping(url: str, *, well: bool) -> str:
    """GET the URL, or URL/fail. Returns why there was no good answer, or "".

    The path of such a URL is a secret: it is not repeated.
    """
    parts = urlsplit(url)
    path = parts.path if well else f"{parts.path.rstrip('/')}/fail"
    try:
        with urlopen(urlunsplit(parts._replace(path=path)), timeout=_PING_WITHIN):  # noqa: S310 # is_url
            return ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{parts.hostname} gave no good answer: {error}"
