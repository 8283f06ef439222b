"""What may happen next to a draw: each command by the state, and what is drawn from. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import Code

from bihuan.inspection.v1 import draw_events_pb2 as ev
from bihuan.inspection.v1 import draw_pb2 as pb
from bihuan.inspection.v1 import draw_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_pb2, target_pb2
from rpc.errors import StatusError, failed_precondition, invalid_argument, unavailable
from rules import Rules, UnknownRule, legal_date
from services.inspection.days import span
from services.inspection.draws import lottery
from services.inspection.draws.evolve import Event
from services.inspection.roster.eligibility import available, certified

Command: TypeAlias = Any  # a request of DrawService, as in DECISIONS
State: TypeAlias = pb.DrawState.ValueType
Part = TypeVar("Part", bound=Message)
COMMITTED, DRAWN, VOID = pb.DRAW_STATE_COMMITTED, pb.DRAW_STATE_DRAWN, pb.DRAW_STATE_VOID
LONGEST = timedelta(days=366)
DAY = timedelta(days=1)
MOST_CANDIDATES, MOST_INSPECTORS, MOST_CONTRIBUTIONS = 5000, 200, 100
MOST_NAMED = 50
# Well under what an event may have: its overhead is a few hundred bytes.
PART_BYTES = 128 << 10
UNGRADED = "none"
# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[tuple[State, ...], str]] = {
    rpc_pb.CommitDrawRequest: ((pb.DRAW_STATE_UNSPECIFIED,), "ALREADY_COMMITTED"),
    rpc_pb.ContributeRequest: ((COMMITTED,), "NOT_COMMITTED"),
    rpc_pb.MakeDrawRequest: ((COMMITTED,), "NOT_COMMITTED"),
    rpc_pb.VoidDrawRequest: ((COMMITTED,), "NOT_COMMITTED"),
}


@dataclass(frozen=True)
class Known:
    """What other rooms know that a draw is committed by.

    targets: the candidates as the register has them, by credit code; those that it does not have are
    missing; inspectors: those of the department who have not left.
    """

    department: roster_pb2.Department
    targets: Mapping[str, target_pb2.Target] = field(default_factory=dict)
    inspectors: Sequence[roster_pb2.Inspector] = ()


@dataclass(frozen=True)
class Drawing:
    """A draw at the moment of a command.

    actor: subject of the identity that acts; rules: the law of the place of the department; now: legal time,
    UTC; secrets: of this draw by each key there is, the current one first; known: for CommitDraw.
    """

    draw: pb.Draw
    actor: str
    rules: Rules
    now: datetime
    secrets: Sequence[bytes] = ()
    known: Known | None = None

    @property
    def today(self) -> date:
        """The legal date, Asia/Shanghai."""
        return legal_date(self.now)

    @property
    def time(self) -> Timestamp:
        """The legal instant."""
        instant = Timestamp()
        instant.FromDatetime(self.now)
        return instant

    def occurrence(self, state: State) -> ev.DrawOccurrence:
        """What an event says of who acted and where the draw stands after it."""
        return ev.DrawOccurrence(state=state, actor=self.actor, occur_time=self.time)

    def refuse(self, reason: str, text: str) -> StatusError:
        """FAILED_PRECONDITION with a stable reason, the draw and its state."""
        state = pb.DrawState.Name(self.draw.state)
        return failed_precondition(reason, text, resource=self.draw.name, state=state)


def decide(p: Drawing, command: Command) -> list[Event]:
    """What follows from `command`.

    `p.draw` has its name set and state UNSPECIFIED before it is committed. Raises StatusError:
    FAILED_PRECONDITION for a move that the state, the law or the roster forbids, or where a place has no rule
    for it (NO_RULE_IN_FORCE); INVALID_ARGUMENT naming the field for a bad one; UNAVAILABLE,
    DRAW_KEY_UNAVAILABLE, if the secret that was committed is not among `p.secrets`.
    """
    states, reason = ALLOWED[type(command)]
    if p.draw.state not in states:
        raise p.refuse(reason, f"{p.draw.name} is in {pb.DrawState.Name(p.draw.state)}")
    try:
        return DECISIONS[type(command)](p, command)
    except UnknownRule as error:
        raise p.refuse("NO_RULE_IN_FORCE", str(error)) from error


def _commit(p: Drawing, command: rpc_pb.CommitDrawRequest) -> list[Event]:
    assert p.known is not None
    first, last = span(command.from_date, command.to_date)
    if last - first > LONGEST:
        raise _bad("SPAN_TOO_LONG", "to_date", f"must lie within {LONGEST.days} days of from_date")
    draw = pb.Draw(
        name=p.draw.name,
        department=command.department,
        title=command.title,
        from_date=command.from_date,
        to_date=command.to_date,
        candidates=_candidates(p, command),
        inspectors_each=_inspectors_each(p, command),
    )
    draw.quotas.extend(_quotas(p, command, draw.candidates))
    draw.inspectors.extend(_drawn_from(p.known, draw, (first, last), command.capacity))
    _require_enough(p, draw)
    parts = [
        *(
            ev.DrawInputsListed(occurrence=p.occurrence(COMMITTED), candidates=part)
            for part in _parts(draw.candidates)
        ),
        *(
            ev.DrawInputsListed(occurrence=p.occurrence(COMMITTED), inspectors=part)
            for part in _parts(draw.inspectors)
        ),
    ]
    return [_committed(p, draw), *parts]


def _committed(p: Drawing, draw: pb.Draw) -> ev.DrawCommitted:
    return ev.DrawCommitted(
        occurrence=p.occurrence(COMMITTED),
        name=draw.name,
        department=draw.department,
        title=draw.title,
        from_date=draw.from_date,
        to_date=draw.to_date,
        quotas=draw.quotas,
        inspectors_each=draw.inspectors_each,
        commitment=lottery.sha256(p.secrets[0]).hex(),
        inputs_digest=lottery.inputs_digest(draw).hex(),
    )


def _candidates(p: Drawing, command: rpc_pb.CommitDrawRequest) -> list[pb.Candidate]:
    """In the order of their codes. INVALID_ARGUMENT that names those that may not be drawn."""
    assert p.known is not None
    if command.HasField("filter") == bool(command.candidates):
        raise _bad("FILTER_OR_CANDIDATES", "candidates", "must be given, or else a filter")
    if command.candidates:
        _require_drawable(p.known.targets, command.candidates)
        return sorted(command.candidates, key=lambda each: each.enterprise)
    found = [
        pb.Candidate(enterprise=uscc, stratum=target.grading.grade or UNGRADED)
        for uscc, target in sorted(p.known.targets.items())
        if not target.sensorless and not target.HasField("remove_time")
    ]
    if len(found) > MOST_CANDIDATES:
        raise _bad("TOO_MANY_CANDIDATES", "filter", f"must find at most {MOST_CANDIDATES}")
    if not found:
        raise _bad("NO_CANDIDATES", "filter", "must find somebody")
    return found


def _require_drawable(
    targets: Mapping[str, target_pb2.Target], candidates: Sequence[pb.Candidate]
) -> None:
    wrong: list[tuple[str, str]] = []
    seen: set[str] = set()
    for index, each in enumerate(candidates):
        target = targets.get(each.enterprise)
        if each.enterprise in seen:
            wrong.append((f"candidates[{index}]", f"{each.enterprise} comes twice"))
        elif target is None or target.HasField("remove_time"):
            wrong.append((f"candidates[{index}]", f"{each.enterprise} is not on the register"))
        elif target.sensorless:
            text = f"{each.enterprise} is monitored without visits"
            wrong.append((f"candidates[{index}]", text))
        seen.add(each.enterprise)
    if wrong:
        text = f"{len(wrong)} candidates may not be drawn"
        raise invalid_argument("CANDIDATES_REFUSED", text, wrong[:MOST_NAMED])


def _inspectors_each(p: Drawing, command: rpc_pb.CommitDrawRequest) -> int:
    least = p.rules.number("inspection.inspectors_least", p.today)
    wanted = command.inspectors_each or least
    if wanted < least:
        raise _bad("TOO_FEW_INSPECTORS", "inspectors_each", f"must be at least {least}")
    return wanted


def _quotas(
    p: Drawing, command: rpc_pb.CommitDrawRequest, candidates: Sequence[pb.Candidate]
) -> list[pb.Quota]:
    """In the order of the pools' names; of every pool one, though nobody of it is drawn."""
    sizes = Counter(each.stratum for each in candidates)
    if command.quotas:
        counts = {each.stratum: each.count for each in command.quotas}
        for index, each in enumerate(command.quotas):
            if each.count > sizes[each.stratum]:
                pools = ", ".join(f"{pool} {size}" for pool, size in sorted(sizes.items()))
                text = f"must not be above what the pools have: {pools or 'nobody'}"
                raise _bad("QUOTA_TOO_HIGH", f"quotas[{index}].count", text)
        if len(counts) < len(command.quotas):
            raise _bad("QUOTA_TWICE", "quotas", "must have each pool once")
    else:
        shares = {each.grade: each.sampling for each in p.rules.grades(p.today)}
        if others := sorted(set(sizes) - set(shares)):
            text = f"must be given: of {', '.join(others)} no rule says a share"
            raise _bad("NO_SHARE", "quotas", text)
        counts = {stratum: ceil(shares[stratum] * size) for stratum, size in sizes.items()}
    return [
        pb.Quota(stratum=stratum, count=counts.get(stratum, 0), candidates=sizes[stratum])
        for stratum in sorted(sizes)
    ]


def _drawn_from(
    known: Known, draw: pb.Draw, days: tuple[date, date], capacity: int
) -> list[pb.DrawnFrom]:
    """Who is certified on all the days and there on one of them at least, in the order of their names."""
    first, last = days
    pool = {each.enterprise for each in draw.candidates}
    return [
        pb.DrawnFrom(
            inspector=each.name,
            recused=sorted({recusal.enterprise for recusal in each.recusals} & pool),
            capacity=capacity,
        )
        for each in sorted(known.inspectors, key=lambda each: each.name)
        if not each.HasField("leave_time")
        and certified(each, first, last)
        and any(available(each, day, day) for day in _days(first, last))
    ]


def _require_enough(p: Drawing, draw: pb.Draw) -> None:
    """FAILED_PRECONDITION where it is known now that an enterprise would not get its inspectors."""
    if len(draw.inspectors) > MOST_INSPECTORS:
        raise p.refuse("TOO_MANY_INSPECTORS", f"over {MOST_INSPECTORS} inspectors could be drawn")
    recusals = Counter(uscc for each in draw.inspectors for uscc in each.recused)
    short = [
        (each.enterprise, len(draw.inspectors) - recusals[each.enterprise])
        for each in draw.candidates
        if len(draw.inspectors) - recusals[each.enterprise] < draw.inspectors_each
    ]
    drawn = sum(each.count for each in draw.quotas)
    visits = sum(min(each.capacity or drawn, drawn) for each in draw.inspectors)
    state = {"resource": draw.name, "state": pb.DrawState.Name(p.draw.state)}
    text = f"{len(draw.inspectors)} inspectors are eligible, {draw.inspectors_each} each are needed"
    if short:
        named = tuple(
            (f'candidates["{uscc}"]', f"{free} inspectors are left")
            for uscc, free in short[:MOST_NAMED]
        )
        raise StatusError(
            Code.FAILED_PRECONDITION,
            "NOT_ENOUGH_INSPECTORS",
            f"{text}: {len(short)} candidates would have fewer, {short[0][0]} {short[0][1]}",
            state,
            named,
        )
    if visits < drawn * draw.inspectors_each:
        raise p.refuse(
            "NOT_ENOUGH_INSPECTORS",
            f"{text}: for {drawn} enterprises they can make {visits} visits together",
        )


def _contribute(p: Drawing, command: rpc_pb.ContributeRequest) -> list[Event]:
    if p.actor == p.draw.committer:
        raise p.refuse("OWN_DRAW", f"{p.actor} committed {p.draw.name} and cannot witness it")
    if any(each.witness == p.actor for each in p.draw.contributions):
        raise p.refuse("CONTRIBUTED_BEFORE", f"{p.actor} contributed to {p.draw.name} before")
    if len(p.draw.contributions) >= MOST_CONTRIBUTIONS:
        raise p.refuse("TOO_MANY_CONTRIBUTIONS", f"there are {MOST_CONTRIBUTIONS} already")
    contribution = pb.Contribution(witness=p.actor, text=command.text, contribute_time=p.time)
    return [ev.ContributionMade(occurrence=p.occurrence(COMMITTED), contribution=contribution)]


def _make(p: Drawing, command: rpc_pb.MakeDrawRequest) -> list[Event]:
    draw = p.draw
    made_of = (each for each in p.secrets if lottery.sha256(each).hex() == draw.commitment)
    secret = next(made_of, None)
    if secret is None:
        raise unavailable(
            "DRAW_KEY_UNAVAILABLE", f"the key by which {draw.name} was committed is not to be had"
        )
    seed = lottery.seed(secret, bytes.fromhex(draw.inputs_digest), draw.contributions)
    occurrence = p.occurrence(DRAWN)
    return [
        ev.DrawMade(occurrence=occurrence, secret=secret.hex(), seed=seed.hex()),
        *(
            ev.LotsDrawn(occurrence=occurrence, lots=part)
            for part in _parts(lottery.lots(draw, seed))
        ),
    ]


def _void(p: Drawing, command: rpc_pb.VoidDrawRequest) -> list[Event]:
    return [ev.DrawVoided(occurrence=p.occurrence(VOID), reason=command.reason)]


def _parts(messages: Sequence[Part]) -> Iterator[list[Part]]:
    """As many at a time as one event holds."""
    part: list[Part] = []
    size = 0
    for each in messages:
        if part and size + each.ByteSize() > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(each)
        size += each.ByteSize() + 4  # with its tag and its length
    if part:
        yield part


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * DAY


def _bad(reason: str, path: str, text: str) -> StatusError:
    return invalid_argument(reason, f"{path} {text}", [(path, text)])


DECISIONS: dict[type[Any], Callable[[Drawing, Any], list[Event]]] = {
    rpc_pb.CommitDrawRequest: _commit,
    rpc_pb.ContributeRequest: _contribute,
    rpc_pb.MakeDrawRequest: _make,
    rpc_pb.VoidDrawRequest: _void,
}
