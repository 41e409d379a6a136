"""The demo's data: the orders of `orders.csv`, their receipts, and what a lookup must answer."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any

import asyncpg

TABLE = """
CREATE TABLE orders (
    id integer PRIMARY KEY,
    total_bill numeric(8, 2) NOT NULL,
    tip numeric(8, 2) NOT NULL,
    sex text NOT NULL,
    smoker text NOT NULL,
    day text NOT NULL,
    time text NOT NULL,
    size integer NOT NULL
)
"""
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Order:
    """One row of the CSV file, and of the table."""

    id: int
    total_bill: Decimal
    tip: Decimal
    sex: str
    smoker: str
    day: str
    time: str
    size: int

    @classmethod
    def from_csv(cls, row: dict[str, str]) -> Order:
        """Make an order of what the file says."""
        kept = {name: row[name] for name in ("sex", "smoker", "day", "time")}
        bill, tip = (Decimal(row[name]).quantize(_CENT) for name in ("total_bill", "tip"))
        return cls(id=int(row["id"]), total_bill=bill, tip=tip, size=int(row["size"]), **kept)

    @property
    def row(self) -> tuple[Any, ...]:
        """The values in the order of the table's columns."""
        return tuple(getattr(self, name) for name in self.__slots__)

    @property
    def receipt(self) -> str:
        """The receipt's text."""
        amounts = (
            ("Bill", self.total_bill),
            ("Tip", self.tip),
            ("Paid", self.total_bill + self.tip),
        )
        lines = [f"{name:<8}{amount:>8} USD" for name, amount in amounts]
        return "\n".join(
            (f"Order {self.id}: {self.time}, {self.day}, {self.size} people", *lines, "")
        )

    @property
    def answer(self) -> dict[str, Any]:
        """What the lookup of this order must return."""
        amounts = {"total_bill": str(self.total_bill), "tip": str(self.tip)}
        return {"id": self.id, **amounts, "receipt": self.receipt}


def read_orders() -> list[Order]:
    """Return all orders of the CSV file."""
    text = (files("warmkit.local.demo") / "orders.csv").read_text(encoding="utf-8")
    return [Order.from_csv(row) for row in csv.DictReader(text.splitlines())]


def receipts(orders: list[Order]) -> dict[str, bytes]:
    """Return the receipts by the keys under which they lie in S3."""
    return {f"receipts/{order.id}.txt": order.receipt.encode() for order in orders}


async def fill_table(dsn: str, orders: list[Order]) -> None:
    """Create the table and copy the orders into it."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(TABLE)
        rows = [order.row for order in orders]
        await connection.copy_records_to_table("orders", records=rows)
    finally:
        await connection.close()
