"""Which events have an older version, and what such a one means today.

Nothing in the log is ever rewritten. When an event is renamed, split or given another shape, its old
message stays in proto/, and here its full name leads to a pure function from the old message to
what is recorded in its place today:

    "bihuan.rectification.v1.ProblemReported": reported_v1,   # -> [v2.ProblemReported]

What it returns may be old itself and goes on, so each function leads one version up. A message that
keeps its type is not led further: such a function also meets the newest and must leave it as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

Upcast = Callable[[Any], Sequence[Message]]

UPCASTS: dict[str, Upcast] = {}
