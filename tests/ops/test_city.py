"""The synthetic city: the same from the same seed, lawful in every regime, its figures add up."""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import protovalidate
import pytest
from google.type.date_pb2 import Date

from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import target_pb2 as pb
from ops.city import assumptions as given
from ops.city.comparison import OneCity, compare
from ops.city.generator import City, generate
from ops.city.history import Known, as_known, each_alone, known
from ops.city.outcome import inspect as make
from ops.city.outcome import of_the_year, outcome
from ops.city.plans import past_plan
from ops.city.regimes import ALL, ALONE, EVERY, MERGING, Regime, Year
from ops.city.report import as_json, tables
from rules import RuleBook, Rules, WorkingCalendar, as_date
from services.inspection.inspections.merging import DAY, PlannedVisit, Visit

RULES = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
FIRMS = 300
DOCUMENT = Path(__file__).parents[2] / "docs" / "yangzhou.md"
DATED = Date(year=2026, month=1, day=1)


@pytest.fixture(scope="module")
def city() -> City:
    return generate(7, RULES, FIRMS)


@pytest.fixture(scope="module")
def facts(city: City) -> Known:
    return known(city)


@pytest.fixture(scope="module")
def past(facts: Known) -> list[PlannedVisit]:
    return past_plan(facts.city, given.YEAR, facts.punished)


@pytest.fixture(scope="module")
def year(facts: Known, past: list[PlannedVisit]) -> Year:
    return Year(facts, past, RULES)


@pytest.fixture(scope="module")
def compared() -> list[OneCity]:
    return compare(1, 2, FIRMS)


def test_the_same_seed_gives_the_same_city_and_another_another(city: City) -> None:
    again = generate(7, RULES, FIRMS)
    assert again == city
    assert known(again) == known(city)
    assert generate(8, RULES, FIRMS).enterprises.keys().isdisjoint(city.enterprises)


def test_every_credit_code_is_valid_and_every_name_is_one_enterprises(city: City) -> None:
    codes = [*city.enterprises, *(each.name[12:] for each in city.departments.values())]
    assert len(set(codes)) == FIRMS + len(given.OFFICES)
    for code in codes:
        task = plan_pb2.Task(id="1", enterprise=code, items=["a"], from_date=DATED, to_date=DATED)
        assert not protovalidate.collect_violations(task)
    assert len({each.display_name for each in city.enterprises.values()}) == FIRMS


def test_every_department_has_two_inspectors_and_nothing_in_its_register_that_it_cannot_check(
    city: City,
) -> None:
    for field, department in city.departments.items():
        assert len(department.inspectors) >= 2
        assert all(city.items_of(field, each) for each in city.register(field))


def test_history_tells_only_what_was_seen_and_what_is_found_exists_no_more(
    city: City, facts: Known
) -> None:
    before = {each for found in city.violations.values() for each in found}
    ended = [
        each
        for key, found in facts.city.violations.items()
        for each, was in zip(found, city.violations[key], strict=True)
        if each.last != was.last
    ]
    problems = [
        fact
        for target in facts.targets.values()
        for fact in target.facts
        if fact.kind == pb.FACT_KIND_PROBLEM
    ]
    assert 0 < len(problems) < len(before)
    assert len(ended) <= len(problems)  # one found on its own last day does not end earlier
    assert all(each.last.year == given.YEAR - 1 for each in ended)
    assert all(fact.date.year == given.YEAR - 1 for fact in problems)


def test_nobody_knows_a_fact_before_its_day(facts: Known) -> None:
    day = date(given.YEAR, 4, 1)
    for target in facts.targets.values():
        seen = [as_date(fact.date) for fact in as_known(target, day).facts]
        assert seen == sorted(
            as_date(fact.date) for fact in target.facts if as_date(fact.date) <= day
        )


def of_law(past: list[PlannedVisit]) -> dict[str, PlannedVisit]:
    return {task.name: task for task in past if task.statutory}


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_no_regime_drops_moves_or_shortens_what_a_law_demands(
    regime: Regime, year: Year, past: list[PlannedVisit]
) -> None:
    visits = year.arrange(regime).visits
    made = {task.name: (task, visit) for visit in visits for task in visit.tasks}
    assert of_law(past)
    for name, task in of_law(past).items():
        found, visit = made[name]
        assert found._replace(alone=False) == task
        assert task.first <= visit.window.first <= visit.window.last <= task.last


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_each_task_is_made_once_and_those_alone_by_themselves(regime: Regime, year: Year) -> None:
    visits = year.arrange(regime).visits
    names = Counter(task.name for visit in visits for task in visit.tasks)
    assert set(names.values()) == {1}
    for visit in visits:
        assert len(visit.tasks) == 1 or not any(task.alone for task in visit.tasks)
        assert {task.enterprise for task in visit.tasks} == {visit.enterprise}


def test_no_body_visits_more_often_than_the_cap_unless_a_law_demands_it(
    year: Year, past: list[PlannedVisit]
) -> None:
    law = Counter((task.department, task.enterprise) for task in of_law(past).values())
    planned = Counter((task.department, task.enterprise) for task in year.planned)
    capped = 0
    for (department, enterprise), number in planned.items():
        cap = year.cap(enterprise)
        assert cap is None or number <= max(cap, law[department, enterprise])
        capped += number == cap
    assert capped


def test_merging_leaves_every_task_and_data_take_away_what_they_answer(
    year: Year, past: list[PlannedVisit]
) -> None:
    def asked(visits: list[Visit]) -> Counter[tuple[str, str]]:
        return Counter((t.name, item) for visit in visits for t in visit.tasks for item in t.items)

    alone, merged = year.arrange(ALONE), year.arrange(MERGING)
    assert asked(alone.visits) == asked(merged.visits)
    assert len(merged.visits) < len(alone.visits) == len(past)
    by_data = year.arrange(Regime(data=True))
    own = {task.name for task in past}
    left = {key for key in asked(by_data.visits) if key[0] in own}
    assert left <= asked(alone.visits).keys()
    assert sum(asked(alone.visits).values()) - len(left) == by_data.off_site > 0


def test_a_clue_is_followed_on_the_days_after_its_report_whatever_else_is_near(
    year: Year, facts: Known
) -> None:
    reports = {fact.id: fact for target in facts.targets.values() for fact in target.facts}
    found = 0
    for visit in year.arrange(ALL).visits:
        for task in visit.tasks:
            if (fact := reports.get(task.name.rpartition("/")[2])) is not None:
                found += 1
                assert not fact.compliant
                assert as_date(fact.date) < visit.window.first
    assert found


def test_what_is_found_existed_and_was_looked_at_by_whoever_is_competent(
    city: City, facts: Known, year: Year
) -> None:
    visits = year.arrange(ALL).visits
    findings = make(facts.city, visits, facts.city.chance("test"))
    assert findings.finds
    assert len({find.violation for find in findings.finds}) == len(findings.finds)
    for violation, day, number in findings.finds:
        visit = visits[number]
        assert day == findings.days[number]
        assert violation.exists(day)
        assert visit.window.first <= day <= visit.window.last
        field = violation.item.partition(".")[0]
        looking = {task.department for task in visit.tasks if violation.item in task.items}
        assert looking == {city.departments[field].name}


def test_the_looks_at_a_violation_count_until_one_sees_it(facts: Known, year: Year) -> None:
    visits = year.arrange(ALONE).visits
    findings = make(facts.city, visits, facts.city.chance("test"))
    looks: defaultdict[tuple[str, str], list[date]] = defaultdict(list)
    for day, visit in sorted(zip(findings.days, visits, strict=True)):
        for item in {item for task in visit.tasks for item in task.items}:
            looks[visit.enterprise, item].append(day)
    days = {find.violation: find.day for find in findings.finds}
    for key, violations in facts.city.violations.items():
        for violation in violations:
            timely = [day for day in looks[key] if violation.exists(day)]
            seen = timely[violation.looks - 1] if len(timely) >= violation.looks else None
            assert days.get(violation) == seen


def test_detection_adds_up(facts: Known, year: Year) -> None:
    everything = Counter(each.gravity for each in of_the_year(facts.city))
    for regime in EVERY:
        visits, off_site = year.arrange(regime)
        result = outcome(facts.city, visits, off_site, facts.city.chance("test"))
        assert result.existing == everything
        assert all(result.found[each] <= everything[each] for each in everything)
        assert result.hits <= min(result.visits, sum(result.found.values()))
        assert result.joint <= result.visits <= result.arrivals
        assert 0 < result.detection() < 1


def test_who_looks_at_nothing_finds_nothing_and_who_looks_daily_whatever_lasts(
    facts: Known, past: list[PlannedVisit]
) -> None:
    city, chance = facts.city, facts.city.chance("test")
    assert not make(city, [], chance).finds
    new_year = date(given.YEAR, 1, 1)
    daily = [
        task._replace(name=f"{task.name}-{n}", first=day, last=day)
        for task in past[:20]
        for n, day in enumerate(new_year + n * DAY for n in range(365))
    ]
    found = {find.violation for find in make(city, each_alone(daily), chance).finds}
    looked_at = {(task.enterprise, item) for task in past[:20] for item in task.items}
    lasting = {
        each
        for each in of_the_year(city)
        if (each.enterprise, each.item) in looked_at
        and each.first <= new_year + 300 * DAY
        and each.last >= each.first + 30 * DAY
        and each.last >= new_year + 30 * DAY
    }
    assert lasting
    assert lasting <= found


def test_a_comparison_is_the_same_again_and_its_shares_add_up(compared: list[OneCity]) -> None:
    assert compare(2, 1, FIRMS) == compared[1:]
    for each in compared:
        assert sum(each.share_of(m) for m in Regime._fields) == pytest.approx(each.saved(ALL))
        assert (each.saved(ALONE), each.detection(ALONE)) == (0, 1)
        assert sum(each.grades.values()) == FIRMS
        assert each.outcomes[ALONE].visits == each.tasks


def test_nothing_is_compared_without_a_seed_or_an_enterprise() -> None:
    with pytest.raises(ValueError, match="0 seeds"):
        compare(1, 0)
    with pytest.raises(ValueError, match="0 enterprises"):
        compare(1, 1, 0)


def test_another_number_may_be_assumed_for_a_while_and_only_one_that_there_is(
    compared: list[OneCity],
) -> None:
    (blind,) = compare(2, 1, FIRMS, assumed={"SEEN_ON_SITE": 0.1})
    assert blind.outcomes[ALONE].detection() < compared[1].outcomes[ALONE].detection()
    assert given.SEEN_ON_SITE == 0.8
    for name, value in (("SEEN_AT_ALL", 1.0), ("CITY", 1.0), ("CLUE_DAYS", 0.5)):
        with pytest.raises(ValueError, match=name):
            compare(2, 1, FIRMS, assumed={name: value})


def test_the_report_is_whole_for_people_and_for_programs(compared: list[OneCity]) -> None:
    told = json.loads(json.dumps(as_json(compared)))
    assert len(told["cities"]) == 2
    assert len(told["spread"]) == len(EVERY)
    spread = told["spread"]["all mechanisms"]["visits spared"]
    assert spread["least"] <= spread["mean"] <= spread["most"]
    assert tables(compared).renderables


def test_the_command_teaches_and_tells_the_same_as_the_function(compared: list[OneCity]) -> None:
    command = [sys.executable, "-m", "ops.city"]
    taught = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--seeds" in taught
    assert "docs/yangzhou.md" in taught
    asked = [*command, "--seed", "2", f"--enterprises={FIRMS}", "--json"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == json.loads(json.dumps(as_json(compared[1:])))


def test_every_assumption_is_written_down_with_its_value() -> None:
    rows = dict(re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", DOCUMENT.read_text("utf-8"), re.M))
    written = {name: said for names, said in rows.items() for name in re.findall(r"`(\w+)`", names)}
    names = {name for name in vars(given) if name.isupper()}
    assert written.keys() == names
    for name in names:
        value = getattr(given, name)
        if isinstance(value, int | float | str | date):
            assert str(value) in written[name], name
