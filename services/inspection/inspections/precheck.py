"""What data answer before anybody goes (非现场), and what keeps them from it. Pure.

What data can settle must not become a visit (国办发〔2024〕54号). But data answer nothing that a law wants
looked at on site, nothing of a clue, and nothing against what else is known: the newest word on a question
counts, and an open problem or a confirmed alert sends somebody there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import NamedTuple

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import target_pb2 as known
from rules import CheckItem, Rules, as_date, legal_date
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.proceeding import Proceeding

RECENT, THRESHOLD = "inspection.recent", "inspection.on_site_threshold"
# From light to grave; a level of a table of points that is none of these is taken as the gravest.
GRAVITIES = ("minor", "general", "serious")
# What was held against an enterprise says nothing in its favour.
ADVERSE = frozenset(
    {
        known.FACT_KIND_PENALTY,
        known.FACT_KIND_PROBLEM,
        known.FACT_KIND_OVERDUE,
        known.FACT_KIND_ALERT,
        known.FACT_KIND_COMPLAINT,
    }
)
SETTLING = frozenset({known.FACT_KIND_PROBLEM_CLOSED, known.FACT_KIND_REPAIR})
DATA = {
    known.FACT_KIND_SELF_MONITORING: "自行监测",
    known.FACT_KIND_PERMIT_REPORT: "执行报告",
}


class ItemAnswer(NamedTuple):
    """What one item comes to.

    basis: ids of facts and names of inspections that it rests on, for or against; reason: in words, the
    same as long as it rests on the same.
    """

    item: str
    off_site: bool
    basis: tuple[str, ...]
    reason: str


class _Said(NamedTuple):
    """A fact in its place: of two of one day the later told is the newer."""

    day: date
    place: int
    fact: known.Fact


def answers(
    items: Sequence[CheckItem], target: known.Target, rules: Rules, day: date
) -> list[ItemAnswer]:
    """What data that are known of `target` on `day` answer, one for each item and in their order.

    An item is answered by the newest fact on a question of its answered_by if that is compliant, not older
    than answer_days, and no open problem and no alert confirmed since is as grave as the place's threshold.
    A problem or an alert that says what it is about (its `answers`) concerns that alone, any other every
    item. Facts of later days are as if not told. Raises UnknownRule where the place has no threshold.
    """
    told = _told(target, day)
    against = _Against(told, rules.choice(THRESHOLD, day))
    return [_by_data(item, told, against, day) for item in items]


def recognised(
    items: Sequence[CheckItem],
    target: known.Target,
    earlier: Iterable[pb.Inspection],
    rules: Rules,
    day: date,
) -> list[ItemAnswer]:
    """What earlier inspections of the enterprise answer, by whatever department (结果互认), as `answers`.

    The last look at an item counts: it must have passed within rule inspection.recent, and nothing may
    speak against it since.
    """
    against = _Against(_told(target, day), rules.choice(THRESHOLD, day))
    looks = _looks(earlier, day)
    recent = rules.rule(RECENT, day)
    found = []
    for item in items:
        seen, check, name = looks.get(item.id, (day, pb.CHECK_UNSPECIFIED, ""))
        if check == pb.CHECK_UNSPECIFIED:
            found.append(ItemAnswer(item.id, False, (), "近期没有检查过此事项"))
        elif check == pb.CHECK_FAILED:
            found.append(ItemAnswer(item.id, False, (name,), f"{seen}检查不符合"))
        elif rules.until(recent, seen) < day:
            found.append(ItemAnswer(item.id, False, (), f"上次检查符合（{seen}）已超过期限"))
        elif contrary := against.of(item, seen):
            found.append(contrary)
        else:
            reason = f"{seen}检查符合，结果互认（{name}）"
            found.append(ItemAnswer(item.id, True, (name,), reason))
    return found


def precheck(p: Proceeding, command: rpc_pb.PrecheckInspectionRequest) -> list[Event]:
    """Every item that somebody would have to look at, and whether data spare it; no event if that is as
    before. With nothing left for anybody the inspection is over.
    """
    made = [
        ev.PrecheckMade.ItemAnswer(department=each.department, **answer._asdict())
        for each in p.going
        for answer in _of_participant(p, each)
    ]
    before = {
        (each.department, item.id): item.open_reason for each in p.going for item in each.items
    }
    if all(
        not each.off_site and before[each.department, each.item] == each.reason for each in made
    ):
        return []
    if all(each.off_site for each in made):
        occurrence = p.occurrence(pb.STATE_OFF_SITE, closes=every_deadline(p))
    else:
        occurrence = p.occurrence()
    return [ev.PrecheckMade(occurrence=occurrence, answers=made)]


def every_deadline(p: Proceeding) -> set[str]:
    """Ids of all deadlines, open or overdue: what ends with the inspection."""
    standing = p.inspection.standing
    return {*(each.deadline.id for each in standing.deadlines), *standing.overdue}


def _of_participant(p: Proceeding, participant: pb.Participant) -> list[ItemAnswer]:
    """The answers to the items that are not answered yet."""
    items = [item for item in participant.items if not item.answered_by]
    if p.inspection.kind == plan_pb2.KIND_CASE:
        return [ItemAnswer(each.id, False, (), "个案检查：线索须现场核实") for each in items]
    listed = p.rules.items(p.today)
    questions = [listed[each.id] for each in items if each.id in listed and not each.statutory]
    target = p.known.target or known.Target()
    by_data = {each.item: each for each in answers(questions, target, p.rules, p.today)}
    by_look = {
        each.item: each for each in recognised(questions, target, p.known.earlier, p.rules, p.today)
    }
    return [_best(each, by_data, by_look) for each in items]


def _best(
    item: pb.Item, by_data: Mapping[str, ItemAnswer], by_look: Mapping[str, ItemAnswer]
) -> ItemAnswer:
    if item.statutory:
        return ItemAnswer(item.id, False, (), "法定检查：须到现场")
    if item.id not in by_data:
        return ItemAnswer(item.id, False, (), "检查事项清单中没有此事项")
    data, look = by_data[item.id], by_look[item.id]
    if data.off_site or look.off_site:
        return data if data.off_site else look
    basis = tuple(dict.fromkeys((*data.basis, *look.basis)))
    reasons = dict.fromkeys((data.reason, look.reason))
    return ItemAnswer(item.id, False, basis, "；".join(reasons))


class _Against:
    """What speaks against taking data, or an earlier look, for an answer."""

    def __init__(self, told: Sequence[_Said], threshold: str) -> None:
        grave = [each for each in told if _gravity(each.fact) >= GRAVITIES.index(threshold)]
        settled = {each.fact.source: each for each in told if each.fact.kind in SETTLING}
        standing = [
            each
            for each in grave
            if each.fact.source not in settled or settled[each.fact.source][:2] < each[:2]
        ]
        self._problems = [each for each in standing if each.fact.kind == known.FACT_KIND_PROBLEM]
        self._alerts = [each for each in standing if each.fact.kind == known.FACT_KIND_ALERT]

    def of(self, item: CheckItem, since: date) -> ItemAnswer | None:
        """What speaks against an answer to `item` of that day, or None."""
        problems = [each for each in self._problems if _concerns(each.fact, item)]
        alerts = [each for each in self._alerts if _concerns(each.fact, item) and each.day >= since]
        if not problems and not alerts:
            return None
        told = [f"未整改问题（{each.day}）" for each in problems]
        told += [f"属实预警（{each.day}）" for each in alerts]
        basis = tuple(each.fact.id for each in [*problems, *alerts])
        return ItemAnswer(item.id, False, basis, "须现场查看：" + "、".join(told))


def _by_data(item: CheckItem, told: Sequence[_Said], against: _Against, day: date) -> ItemAnswer:
    if not item.answered_by:
        return ItemAnswer(item.id, False, (), "须现场查看：没有可以替代的数据")
    asked = set(item.answered_by)
    words = [
        each
        for each in told
        if each.fact.kind not in ADVERSE | SETTLING and asked.intersection(each.fact.answers)
    ]
    if not words or (day - words[-1].day).days > item.answer_days:
        return ItemAnswer(item.id, False, (), f"{item.answer_days}日内没有数据")
    newest = words[-1]
    if not newest.fact.compliant:
        reason = f"{_called(newest.fact)}（{newest.day}）不符合"
        return ItemAnswer(item.id, False, (newest.fact.id,), reason)
    if contrary := against.of(item, newest.day):
        return contrary
    reason = f"{_called(newest.fact)}（{newest.day}，{newest.fact.source}）符合"
    return ItemAnswer(item.id, True, (newest.fact.id,), reason)


def _told(target: known.Target, day: date) -> list[_Said]:
    """What is known on `day`, oldest first."""
    said = [_Said(as_date(fact.date), n, fact) for n, fact in enumerate(target.facts)]
    return sorted((each for each in said if each.day <= day), key=lambda each: each[:2])


def _looks(
    earlier: Iterable[pb.Inspection], day: date
) -> dict[str, tuple[date, pb.Check.ValueType, str]]:
    """The last look at each item by `day`: when, what it came to, in which inspection. What did not apply
    was not looked at; of two looks at one instant the worse counts.
    """
    looks: dict[str, tuple[int, int, date, pb.Check.ValueType, str]] = {}
    for inspection in earlier:
        for participant in inspection.participants:
            for entry in participant.entries:
                seen = legal_date(entry.device_time.ToDatetime(UTC))
                if entry.check == pb.CHECK_NOT_APPLICABLE or seen > day:
                    continue
                instant = entry.device_time.ToNanoseconds()
                look = (instant, entry.check, seen, entry.check, inspection.name)
                looks[entry.item] = max(looks.get(entry.item, look), look)
    return {item: look[2:] for item, look in looks.items()}


def _concerns(fact: known.Fact, item: CheckItem) -> bool:
    return not fact.answers or bool(set(fact.answers).intersection(item.answered_by))


def _gravity(fact: known.Fact) -> int:
    return GRAVITIES.index(fact.level) if fact.level in GRAVITIES else len(GRAVITIES) - 1


def _called(fact: known.Fact) -> str:
    return fact.remark or DATA.get(fact.kind, "数据")
