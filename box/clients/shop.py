"""The shop's database, asked as its users ask it: over the network, with PyMySQL."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql

from box.clients.insert import OrdersError

# Seconds. Where a fwd rule leads to no listener yet, FreeBSD's RST goes the same way, and nobody
# hears it: a client with more patience would measure that.
CONNECT_LIMIT = 0.1
ANSWER_LIMIT = 5.0  # seconds


@dataclass(frozen=True)
class Shop:
    """Where the shop's database is, and as whom to ask it. The password is the test image's."""

    host: str
    port: int = 3306
    user: str = "shop"
    password: str = "shop-secret"  # noqa: S105 - stands in the image's recipe for all to read
    database: str = "shop"
    source: str | None = None

    def connect(self) -> "ShopOrders":
        try:
            connection = pymysql.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=self.database,
                bind_address=self.source,
                autocommit=True,
                ssl_disabled=True,  # else PyMySQL reads all CAs at each attempt: 80 ms, 28 a gap
                connect_timeout=CONNECT_LIMIT,
                read_timeout=ANSWER_LIMIT,
                write_timeout=ANSWER_LIMIT,
            )
        except (pymysql.MySQLError, OSError) as error:
            raise OrdersError(_text(error)) from error
        return ShopOrders(connection)


class ShopOrders:
    """One connection to shop.orders (see insert.Orders)."""

    def __init__(self, connection: "pymysql.Connection[Any]") -> None:
        self._connection = connection

    def insert(self, mark: str) -> None:
        self._query("INSERT INTO orders (mark) VALUES (%s)", mark)

    def marks(self, run: str) -> list[str]:
        rows = self._query("SELECT mark FROM orders WHERE mark LIKE %s", f"{run}-%")
        return [row[0] for row in rows]

    def close(self) -> None:
        with suppress(pymysql.Error):  # "Already closed": PyMySQL closes what it lost by itself
            self._connection.close()

    def _query(self, sql: str, *values: str) -> Any:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        except (pymysql.MySQLError, OSError) as error:
            raise OrdersError(_text(error)) from error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
