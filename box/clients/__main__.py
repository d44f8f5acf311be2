"""`python -m box.clients`: one client as a process of its own.

It prints `ready` at its first good answer. At its end it writes its result to --out.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from box.clients.download import download
from box.clients.get import Page, get
from box.clients.insert import OrdersError, insert, judge
from box.clients.log_in import log_in
from box.clients.resolve import resolve
from box.clients.results import Inserted, Record
from box.clients.send import send
from box.clients.shop import Shop
from box.clients.stopping import LONGEST, Stop

MOST_INSERTS = 200.0  # per second
MOST_GETS = 100.0  # per second and thread
MOST_QUESTIONS = 100.0  # per second, over each transport
MOST_MESSAGES = 10.0  # per second
MOST_LOGINS = 10.0  # per second
MOST_BYTES = 16.0 * 1024 * 1024  # per second


def main(arguments: list[str]) -> int:
    given = parser().parse_args(arguments)
    stop = Stop(given.seconds)
    stop.obey_sigterm()
    if given.until_stdin_eof:
        stop.obey_stdin()
    result: Record = given.run(given, stop)
    result.write(given.out)
    return 0


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m box.clients")
    kinds = whole.add_subparsers(required=True, metavar="CLIENT")

    inserting = _client(kinds.add_parser("insert"), _insert, port=3306)
    inserting.add_argument("--rate", type=up_to(MOST_INSERTS), default=MOST_INSERTS)

    verifying = _client(kinds.add_parser("verify"), _verify, port=3306)
    verifying.add_argument("--inserted", type=Path, required=True, help="result of insert")

    getting = _client(kinds.add_parser("get"), _get, port=80)
    getting.add_argument("--rate", type=up_to(MOST_GETS), default=20.0, help="of each thread")
    getting.add_argument("--threads", type=int, default=8)
    getting.add_argument("--keep-alive", action="store_true")
    getting.add_argument("--path", default="/index.html")
    getting.add_argument("--expect", default="", help="text that the page must contain")

    resolving = _client(kinds.add_parser("resolve"), _resolve, port=53)
    resolving.add_argument("--rate", type=up_to(MOST_QUESTIONS), default=50.0, help="of each")
    resolving.add_argument("--name", default="example.org")

    sending = _client(kinds.add_parser("send"), _send, port=25)
    sending.add_argument("--rate", type=up_to(MOST_MESSAGES), default=5.0)
    sending.add_argument("--to", required=True)

    logging_in = _client(kinds.add_parser("log-in"), _log_in, port=143)
    logging_in.add_argument("--rate", type=up_to(MOST_LOGINS), default=1.0)
    logging_in.add_argument("--user", required=True)
    logging_in.add_argument("--password", required=True, help="only for a test server")

    downloading = _client(kinds.add_parser("download"), _download, port=80)
    downloading.add_argument("--rate", type=up_to(MOST_BYTES), default=256 * 1024.0)
    downloading.add_argument("--path", required=True)
    return whole


def up_to(most: float) -> Callable[[str], float]:
    """A type for argparse: a number above 0 and at most this, so that no client floods a server."""

    def number(text: str) -> float:
        value = float(text)
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"{text}: expected above 0 and at most {most:g}")
        return value

    return number


def _client(
    one: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace, Stop], Record],
    port: int,
) -> argparse.ArgumentParser:
    one.set_defaults(run=run)
    one.add_argument("--host", default="203.0.113.2")
    one.add_argument("--port", type=int, default=port)
    one.add_argument("--source", help="source address")
    one.add_argument("--for", type=up_to(LONGEST), default=900.0, dest="seconds", metavar="S")
    one.add_argument("--until-stdin-eof", action="store_true")
    one.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    return one


def _ready() -> None:
    print("ready", flush=True)


def _shop(given: argparse.Namespace) -> Shop:
    return Shop(given.host, given.port, source=given.source)


def _page(given: argparse.Namespace, expected: str = "") -> Page:
    return Page(given.host, given.path, given.port, expected, given.source)


def _insert(given: argparse.Namespace, stop: Stop) -> Record:
    return insert(_shop(given).connect, stop, given.rate, _ready)


def _verify(given: argparse.Namespace, stop: Stop) -> Record:
    inserted = Inserted.read(given.inserted)
    orders = _shop(given).connect()
    try:
        return judge(inserted, orders.marks(inserted.run))
    finally:
        orders.close()


def _get(given: argparse.Namespace, stop: Stop) -> Record:
    page = _page(given, given.expect)
    return get(
        page,
        stop,
        rate=given.rate,
        threads=given.threads,
        keep_alive=given.keep_alive,
        first=_ready,
    )


def _resolve(given: argparse.Namespace, stop: Stop) -> Record:
    return resolve(
        given.host,
        given.port,
        given.name,
        stop,
        rate=given.rate,
        source=given.source,
        first=_ready,
    )


def _send(given: argparse.Namespace, stop: Stop) -> Record:
    return send(
        given.host,
        given.port,
        given.to,
        stop,
        rate=given.rate,
        source=given.source,
        first=_ready,
    )


def _log_in(given: argparse.Namespace, stop: Stop) -> Record:
    return log_in(
        given.host,
        given.port,
        given.user,
        given.password,
        stop,
        rate=given.rate,
        source=given.source,
        first=_ready,
    )


def _download(given: argparse.Namespace, stop: Stop) -> Record:
    return download(_page(given), stop, given.rate, _ready)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OrdersError as error:
        sys.exit(f"the shop's database: {error}")
