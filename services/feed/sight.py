"""What of an event a reader of the feed is not told.

What an enterprise thought of a visit is told to nobody of a department (services/inspection/inspections/
sight.py): not by the feed either, which gives every event else as it was.
"""

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from rpc.identity import current_identity

OF_NO_DEPARTMENT = frozenset({ev.InspectionRated.DESCRIPTOR.full_name})


def told(type_: str, data: bytes) -> bytes:
    """The payload as the caller may see it: empty where the event is not for whoever carries an `agency`."""
    return b"" if type_ in OF_NO_DEPARTMENT and current_identity().agency else data
