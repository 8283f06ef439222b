"""A laboratory for tests: an aggregate whose events had two older versions."""

from pathlib import Path
from typing import Any

from services.aggregate import Aggregate
from services.upcasts import Upcast
from tests.protos import generate

generate(Path(__file__).parent / "samples", "sample_v1", "sample_v2", "sample_v3")

import sample_v1_pb2 as v1  # noqa: E402
import sample_v2_pb2 as v2  # noqa: E402
import sample_v3_pb2 as v3  # noqa: E402

LIMITS = {"COD": 30}
NAME = "samples/0197c6d2-0000-7000-8000-000000000001"


def in_parts(old: v1.SampleAnalysed) -> list[v2.SampleAnalysed]:
    """v1 → v2."""
    pollutant, amount, _ = old.finding.split(" ")
    return [
        v2.SampleAnalysed(
            name=old.name,
            pollutant=pollutant,
            milligrams=int(amount),
            limit_milligrams=LIMITS[pollutant],
        )
    ]


def split(old: v2.SampleAnalysed) -> list[Any]:
    """v2 → v3, one event or two."""
    over = old.milligrams - old.limit_milligrams
    analysed = v3.SampleAnalysed(
        name=old.name, pollutant=old.pollutant, micrograms=old.milligrams * 1000
    )
    return [analysed, *([v3.LimitExceeded(over_micrograms=over * 1000)] if over > 0 else [])]


def several(event: v3.SampleSealed) -> list[v3.SampleSealed]:
    """The same type with another shape."""
    return [v3.SampleSealed(witnesses=[event.witness])] if event.witness else [event]


UPCASTS: dict[str, Upcast] = {
    "bihuan.test.samples.v1.SampleAnalysed": in_parts,
    "bihuan.test.samples.v2.SampleAnalysed": split,
    "bihuan.test.samples.v3.SampleSealed": several,
}


def evolve(sample: v3.Sample, event: Any) -> v3.Sample:
    """The sample after `event`."""
    after = v3.Sample()
    after.CopyFrom(sample)
    match event:
        case v3.SampleAnalysed():
            after.name, after.pollutant = event.name, event.pollutant
            after.micrograms = event.micrograms
        case v3.LimitExceeded():
            after.over_micrograms = event.over_micrograms
        case v3.SampleSealed():
            after.witnesses[:] = event.witnesses
    return after


async def _nowhere(*_: object) -> None:
    """No view is written."""


SAMPLE = Aggregate(
    category="rectification.sample",
    blank=lambda name: v3.Sample(name=name),
    evolve=evolve,
    events=(v3.SampleAnalysed, v3.LimitExceeded, v3.SampleSealed),
    project=_nowhere,
)
