"""Document numbers (发文字号): a serial for each series and year, without gaps and without doubles.

The next serial is taken under a row lock in the transaction that records the document, and given back
with it: whoever loses a race or is refused leaves no gap. What was given last is what the documents
say, so that the table can be made again from the log.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.penalty.v1.document_pb2 import Document
from bihuan.penalty.v1.penalty_case_pb2 import PenaltyCase

DOCUMENT_NUMBER = sa.Table(
    "document_number",
    sa.MetaData(schema="penalty"),
    sa.Column("series", sa.Text, primary_key=True),
    sa.Column("year", sa.SmallInteger, primary_key=True),
    sa.Column("last", sa.Integer),
)
NUMBER = re.compile(r"(?P<series>.+)〔(?P<year>\d{4})〕(?:(?P<serial>\d+)号)?")


class Series(NamedTuple):
    """What serials are counted in, for example 东环罚字 of 2026."""

    name: str
    year: int


async def stamp(
    conn: AsyncConnection, case: PenaltyCase, events: Sequence[Message]
) -> Sequence[Message]:
    """The events, each document in them with its number complete; for the transaction that records them."""
    # In one order by all, so that nobody waits for somebody who waits for them.
    for document in sorted(_documents(events), key=lambda each: each.number):
        series, serial = _parse(document.number)
        if not serial:
            document.number = f"{document.number}{await _next(conn, series)}号"
    return events


async def keep(conn: AsyncConnection, documents: Iterable[Document]) -> None:
    """Make the table say at least what the documents say; as a rule it does, and nothing is written."""
    lasts: dict[Series, int] = {}
    for document in documents:
        series, serial = _parse(document.number)
        lasts[series] = max(serial, lasts.get(series, 0))
    for series, last in lasts.items():
        of_series = sa.and_(
            DOCUMENT_NUMBER.c.series == series.name, DOCUMENT_NUMBER.c.year == series.year
        )
        # Looked at first: an upsert would hold the row, which others need, even where it changes nothing.
        known = await conn.scalar(sa.select(DOCUMENT_NUMBER.c.last).where(of_series))
        if (known or 0) < last:
            await _write(conn, series, last, sa.func.greatest(DOCUMENT_NUMBER.c.last, last))


async def _next(conn: AsyncConnection, series: Series) -> int:
    return await _write(conn, series, 1, DOCUMENT_NUMBER.c.last + 1)


async def _write(
    conn: AsyncConnection, series: Series, first: int, later: sa.ColumnElement[int]
) -> int:
    row = insert(DOCUMENT_NUMBER).values(series=series.name, year=series.year, last=first)
    upsert = row.on_conflict_do_update(index_elements=["series", "year"], set_={"last": later})
    last = await conn.scalar(upsert.returning(DOCUMENT_NUMBER.c.last))
    return int(last or 0)


def _documents(events: Iterable[Message]) -> list[Document]:
    return [
        event.document  # type: ignore[attr-defined]
        for event in events
        if "document" in event.DESCRIPTOR.fields_by_name and event.HasField("document")
    ]


def _parse(number: str) -> tuple[Series, int]:
    """The series of a number and its serial, 0 if it has none yet."""
    found = NUMBER.fullmatch(number)
    if found is None:
        raise ValueError(f"{number!r} is no document number")
    return Series(found["series"], int(found["year"])), int(found["serial"] or 0)
