"""Events recorded by older builds mean today what they meant then; those of newer builds stop us."""

from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2
from temporalio.exceptions import ApplicationError

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.notification.v1 import notice_pb2
from bihuan.penalty.v1 import events_pb2 as penalty_events_pb2
from bihuan.rectification.v1 import events_pb2
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_service_pb2 import ExpireDeadlineRequest
from eventstore import EventStore, Metadata, NewEvent, RecordedEvent
from rpc.client import connect
from rpc.identity import Identity
from services import upcasts
from services.aggregate import Commands
from services.events import UnknownEvent, read
from services.notification import model as notification
from services.rectification import evolve as rectification
from tests.bureau import Bureau, report
from tests.services import laboratory
from tests.services.calls import refused, rid
from tests.services.cases import verification
from tests.services.laboratory import NAME, SAMPLE, v3
from workflows import penalty_state, problem_state
from workflows.activities import Activities
from workflows.case_loop import payloads
from workflows.routes import routes

# As the builds of their time wrote them; to be changed by nobody.
V1_ANALYSED = "0a2c73616d706c65732f30313937633664322d303030302d373030302d383030302d303030303030303030303031120b434f44203332206d672f4c"  # noqa: E501
V2_ANALYSED = "0a0973616d706c65732f311203434f44180c201e"
V3_ANALYSED = "0a2c73616d706c65732f30313937633664322d303030302d373030302d383030302d3030303030303030303030311203434f4418d4de01"  # noqa: E501
V3_SEALED_BY_ONE = "0a06e78e8be88ab3"
V3_SEALED_BY_TWO = "1206e78e8be88ab31206e69d8ee99d99"
SAMPLES = "bihuan.test.samples"
PROBLEM = "rectification.problem-0197c6d2-0000-7000-8000-000000000001"
NEWER = "bihuan.rectification.v9.ProblemMoved"


@pytest.fixture(autouse=True)
def laboratory_upcasts(monkeypatch: pytest.MonkeyPatch) -> None:
    for old, upcast in laboratory.UPCASTS.items():
        monkeypatch.setitem(upcasts.UPCASTS, old, upcast)


def sealed(*witnesses: str) -> v3.SampleSealed:
    return v3.SampleSealed(witnesses=witnesses)


@pytest.mark.parametrize(
    ("type_name", "recorded", "meant"),
    [
        (
            "v1.SampleAnalysed",
            V1_ANALYSED,
            [
                v3.SampleAnalysed(name=NAME, pollutant="COD", micrograms=32_000),
                v3.LimitExceeded(over_micrograms=2_000),
            ],
        ),
        (
            "v2.SampleAnalysed",
            V2_ANALYSED,
            [v3.SampleAnalysed(name="samples/1", pollutant="COD", micrograms=12_000)],
        ),
        (
            "v3.SampleAnalysed",
            V3_ANALYSED,
            [v3.SampleAnalysed(name=NAME, pollutant="COD", micrograms=28_500)],
        ),
        ("v3.SampleSealed", V3_SEALED_BY_ONE, [sealed("王芳")]),
        ("v3.SampleSealed", V3_SEALED_BY_TWO, [sealed("王芳", "李静")]),
    ],
)
def test_recorded_old_bytes_are_read_as_what_they_mean_today(
    type_name: str, recorded: str, meant: list[Any]
) -> None:
    found = read(f"{SAMPLES}.{type_name}", bytes.fromhex(recorded), PROBLEM, 1, known=SAMPLE.events)
    assert list(found) == meant


async def test_a_stream_begun_by_the_first_build_is_loaded_by_todays(store: EventStore) -> None:
    recorded = [
        NewEvent(f"{SAMPLES}.v1.SampleAnalysed", bytes.fromhex(V1_ANALYSED)),
        NewEvent(f"{SAMPLES}.v3.SampleSealed", bytes.fromhex(V3_SEALED_BY_ONE)),
    ]
    await store.record(SAMPLE.stream(NAME), 0, recorded, Metadata("laboratory", uuid4()))
    async with store.engine.connect() as conn:
        sample, version = await Commands(store, SAMPLE).load(conn, NAME)
    assert version == 2
    assert sample == v3.Sample(
        name=NAME,
        etag="2",
        pollutant="COD",
        micrograms=32_000,
        over_micrograms=2_000,
        witnesses=["王芳"],
    )


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        (NEWER, b""),
        (f"{SAMPLES}.v1.SampleTaken", b""),  # defined, but folded by nobody
        ("bihuan.notification.v1.NoticeRead", b""),
    ],
)
def test_an_event_that_this_build_cannot_fold_stops_it_and_is_named(
    type_name: str, data: bytes
) -> None:
    newer = RecordedEvent(
        uuid4(), PROBLEM, 3, type_name, data, "", uuid4(), None, None, "", None, 17
    )
    with pytest.raises(UnknownEvent) as stopped:
        SAMPLE.fold(v3.Sample(), [newer])
    assert str(stopped.value) == (
        f"this build does not know {type_name}, version 3 of {PROBLEM}: upgrade it"
    )
    with pytest.raises(UnknownEvent, match=r"version 3 of rectification\.\S+ at position 17: "):
        read(type_name, data, PROBLEM, 3, 17, known=SAMPLE.events)


@pytest.mark.parametrize("type_name", [NEWER, "bihuan.rectification.v9.ProblemReported"])
def test_neither_relay_nor_loop_skips_an_event_that_it_does_not_know(type_name: str) -> None:
    event = Event(
        position=17,
        stream=PROBLEM,
        version=3,
        payload=AnyMessage(type_url=f"type.googleapis.com/{type_name}"),
    )
    for reader in (
        lambda event: payloads(event, problem_state.EVENTS),
        lambda event: routes(event, ""),
    ):
        with pytest.raises(UnknownEvent, match="at position 17: upgrade it"):
            reader(event)


def test_every_event_that_is_defined_is_folded_by_its_service_and_its_loop() -> None:
    problems = _defined(events_pb2)
    assert set(get_args(rectification.Event)) == problems
    assert set(problem_state.EVENTS) == problems
    assert set(penalty_state.EVENTS) == _defined(penalty_events_pb2) - {
        penalty_events_pb2.Occurrence
    }
    assert {e.DESCRIPTOR.full_name for e in get_args(notification.Event)} == {
        f"bihuan.notification.v1.{name}"
        for name in notice_pb2.DESCRIPTOR.message_types_by_name
        if name.startswith("Notice") and name != "Notice"
    }


def _defined(module: Any) -> set[type]:
    return {getattr(module, name) for name in module.DESCRIPTOR.message_types_by_name}


@pytest.fixture
async def moved(open_bureau: Bureau, store: EventStore) -> pb.Problem:
    """A problem to which a newer build recorded something."""
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    stream = f"rectification.problem-{problem.name.removeprefix('problems/')}"
    await store.record(stream, 1, [NewEvent(NEWER, b"")], Metadata("newer", uuid4()))
    return problem


async def test_a_command_on_what_a_newer_build_recorded_is_refused_with_a_stable_reason(
    open_bureau: Bureau, moved: pb.Problem
) -> None:
    error = await refused(open_bureau.client("officer").problems.VerifyProblem(verification(moved)))
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "UNKNOWN_EVENT")
    assert error.metadata["type"] == NEWER
    assert error.metadata["version"] == "2"
    assert "upgrade it" in error.message


async def test_a_loop_waits_for_the_upgrade_of_a_service_that_does_not_know_an_event(
    open_bureau: Bureau, moved: pb.Problem
) -> None:
    token = open_bureau.issuer.issue(Identity("loop", roles=frozenset({"loop"})))
    request = ExpireDeadlineRequest(request_id=rid(), name=moved.name, deadline_id="verify")
    async with connect(open_bureau.target, token) as channel:
        with pytest.raises(ApplicationError) as raised:
            await Activities(channel).expire_deadline(request, str(UUID(int=1)))
    assert raised.value.type == "UNKNOWN_EVENT"
    assert not raised.value.non_retryable
