"""Days that commands name, checked: google.type.Date may leave a part out. Pure."""

from datetime import date

from google.type import date_pb2

from rpc.errors import invalid_argument


def whole_date(value: date_pb2.Date, field: str) -> date:
    """The date that the field of a command names, past or future. INVALID_ARGUMENT, INVALID_DATE if none."""
    try:
        return date(value.year, value.month, value.day)
    except ValueError as error:
        raise invalid_argument(
            "INVALID_DATE", f"{field} is not a day: {error}", [(field, "must be a whole date")]
        ) from error


def span(first: date_pb2.Date, last: date_pb2.Date, field: str = "") -> tuple[date, date]:
    """The days from `first` to `last` of a message at the path `field`, or of the command itself where that
    is empty. INVALID_ARGUMENT: INVALID_DATE, or SPAN_BACKWARDS if it ends before it begins.
    """
    path = f"{field}." if field else ""
    from_, to = whole_date(first, f"{path}from_date"), whole_date(last, f"{path}to_date")
    if to < from_:
        raise invalid_argument(
            "SPAN_BACKWARDS",
            f"{path}to_date {to} lies before {path}from_date {from_}",
            [(f"{path}to_date", "must not lie before from_date")],
        )
    return from_, to
