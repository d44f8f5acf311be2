"""The shop's database, accessed as by its users: over the network, with PyMySQL."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql

from box.clients.insert import OrdersError

# Seconds. If a fwd rule leads to no listener yet, FreeBSD's RST follows the same rule and is lost;
# with a longer limit a client would measure that.
CONNECT_LIMIT = 0.1
ANSWER_LIMIT = 5.0  # seconds


@dataclass(frozen=True)
class Shop:
    """The shop's database, and the user to log in as. The password is that of the test image."""

    host: str
    port: int = 3306
    user: str = "shop"
    password: str = "shop-secret"  # noqa: S105 - it is public in the image's recipe
    database: str = "shop"
    source: str | None = None
    connect_within: float = CONNECT_LIMIT

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
                ssl_disabled=True,  # else PyMySQL reads all CAs at each attempt, which takes 80 ms
                connect_timeout=self.connect_within,
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
        self.query("INSERT INTO orders (mark) VALUES (%s)", mark)

    def marks(self, run: str) -> list[str]:
        rows = self.query("SELECT mark FROM orders WHERE mark LIKE %s", f"{run}-%")
        return [row[0] for row in rows]

    def close(self) -> None:
        with suppress(pymysql.Error):  # "Already closed": PyMySQL closes a lost connection itself
            self._connection.close()

    def query(self, sql: str, *values: str) -> Any:
        """Its rows. Raises OrdersError."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        except (pymysql.MySQLError, OSError) as error:
            raise OrdersError(_text(error)) from error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
