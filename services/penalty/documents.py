"""What the law demands that notices, decisions, demands and orders say, as data to be printed. Pure."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Protocol

from google.type import date_pb2

from bihuan.penalty.v1 import discretion_pb2 as amounts
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rules import Unit, as_date
from services.penalty.proceeding import Proceeding, day_message

UNITS = {Unit.WORKING_DAYS: "个工作日", Unit.CALENDAR_DAYS: "日", Unit.MONTHS: "个月"}
PUBLIC_NOTICE = "penalty.public_notice_service"
DECISIONS = frozenset({doc.DOCUMENT_KIND_DECISION, doc.DOCUMENT_KIND_DAILY_DECISION})
# Where each remedy is sought, by the rule of its period.
ROUTES = {
    "remedy.reconsideration": "remedy.reconsideration_body",
    "remedy.suit": "remedy.suit_court",
}
NO_PENALTY = {
    pb.Decision.GROUND_MINOR: "penalty.no_penalty_minor",
    pb.Decision.GROUND_FIRST_MINOR: "penalty.no_penalty_first",
    pb.Decision.GROUND_NO_FAULT: "penalty.no_penalty_no_fault",
}
LAWS = {
    amounts.LAW_CHOICE_CONDUCT: "适用违法行为发生时的法律",
    amounts.LAW_CHOICE_DECISION: "适用处罚较轻的现行法律",
}
PAY = "到指定的银行或者通过电子支付系统缴纳罚款"


class Serving(Protocol):
    """A command that says how something was served."""

    @property
    def method(self) -> doc.ServiceMethod.ValueType: ...
    @property
    def act_date(self) -> date_pb2.Date: ...
    @property
    def receipt(self) -> str: ...


def served(p: Proceeding, act: Serving, since: date_pb2.Date | None = None) -> doc.Service:
    """How it was served and from which day that counts: a public notice once its days have passed.

    INVALID_ARGUMENT if the act lies before `since`, or in the future.
    """
    day = p.day(act.act_date, "act_date", since=since)
    service = doc.Service(
        method=act.method, act_date=act.act_date, serve_date=act.act_date, receipt=act.receipt
    )
    if act.method == doc.SERVICE_METHOD_PUBLIC_NOTICE:
        counted = p.rules.deadline(PUBLIC_NOTICE, day, "service")
        service.serve_date.CopyFrom(counted.due_date)
        service.rule.CopyFrom(counted.rule)
    return service


def issued(
    p: Proceeding,
    kind: doc.DocumentKind.ValueType,
    contents: doc.Contents,
    service: doc.Service | None = None,
) -> doc.Document:
    """A document of the day on which it was served, else of today, but for its serial number.

    Its number holds series and year, "东环罚字〔2026〕": the serial is given as it is recorded.
    """
    day = as_date(service.act_date) if service else p.today
    contents.respondent = respondent(p.case.respondent)
    contents.bureau = p.rules.text("penalty.bureau", day)
    contents.decision_number = decision_number(p.case)
    return doc.Document(
        kind=kind,
        number=f"{p.rules.series(series_kind(kind), day)}〔{day.year}〕",
        issue_date=day_message(day),
        contents=contents,
        service=service,
    )


def series_kind(kind: doc.DocumentKind.ValueType) -> str:
    """The kind of document as the rules call it, for example "decision"."""
    return doc.DocumentKind.Name(kind).removeprefix("DOCUMENT_KIND_").lower()


def decision_number(case: pb.PenaltyCase) -> str:
    """The number of the penalty decision, or empty until there is one."""
    return next((each.number for each in case.documents if each.kind in DECISIONS), "")


def respondent(party: pb.Respondent) -> str:
    """The party as documents name it; empty for a natural person, whom the case names."""
    if party.kind == pb.Respondent.KIND_PERSON:
        return ""
    return f"{party.display_name}（统一社会信用代码{party.uscc}）"


def notice(
    p: Proceeding,
    proposal: amounts.Discretion,
    service: doc.Service,
    opened: Iterable[pb.OpenDeadline],
) -> doc.Document:
    """The prior notice: facts, evidence, law, the proposed penalty, how it follows, and the rights."""
    said = {
        pb.DUTY_STATEMENT: "可进行陈述申辩",
        pb.DUTY_HEARING_REQUEST: "可要求听证",
        pb.DUTY_APOLOGY: "可申请道歉承诺从轻处罚",
    }
    contents = _grounds(p, proposal)
    contents.reasons = _reckoned(p, proposal, "拟处")
    contents.rights.extend(_until(said[each.duty], each.deadline) for each in opened)
    return issued(p, doc.DOCUMENT_KIND_NOTICE, contents, service)


def hearing_notice(p: Proceeding, hearing: pb.Hearing, service: doc.Service) -> doc.Document:
    """The notice of hearing: when, and what follows if the party stays away."""
    contents = doc.Contents(
        facts=p.case.violation.summary,
        amount_fen=p.case.proposal.chosen_fen,
        performance=f"听证于{day_text(as_date(hearing.hearing_date))}在{hearing.place}举行",
        due_date=hearing.hearing_date,
        rights=["可申请回避", "可委托一至二人代理"],
        consequences=["无正当理由拒不出席的，视为放弃听证权利"],
        law=[_cited(p, "penalty.hearing_notice", as_date(service.act_date))],
    )
    return issued(p, doc.DOCUMENT_KIND_HEARING_NOTICE, contents, service)


def decision(p: Proceeding, decided: pb.Decision, reasons: str) -> doc.Document:
    """The written decision: what was found and why, how and until when to perform, how to appeal."""
    contents = _grounds(p, decided.discretion)
    contents.defence.extend(_defence(p.case))
    if decided.kind == pb.Decision.KIND_NO_PENALTY:
        contents.ClearField("discretion")
        contents.law.append(_cited(p, NO_PENALTY[decided.ground], p.today))
        contents.reasons = reasons
        return issued(p, doc.DOCUMENT_KIND_NO_PENALTY, contents)
    reckoned = _reckoned(p, decided.discretion, "决定处以")
    contents.reasons = "\n".join(filter(None, [reckoned, reasons]))
    payment = f"{PAY}{yuan(decided.fine_fen)}元"
    contents.performance = _within(p, "penalty.payment", "自收到本决定书之日起", payment)
    contents.rights.extend(
        _within(p, rule_id, "自知道本决定之日起", f"可{remedy(p, rule_id)}") for rule_id in ROUTES
    )
    contents.consequences.extend([_surcharge(p), _enforcement(p)])
    daily = p.case.HasField("daily_basis")
    kind = doc.DOCUMENT_KIND_DAILY_DECISION if daily else doc.DOCUMENT_KIND_DECISION
    return issued(p, kind, contents)


def demand(
    p: Proceeding, fine_fen: int, surcharge_fen: int, until: Deadline, service: doc.Service
) -> doc.Document:
    """The demand letter: time, manner, the exact amount in fen, and the right to be heard."""
    contents = doc.Contents(
        facts=f"逾期未履行{decision_number(p.case)}行政处罚决定，"
        f"尚欠罚款{yuan(fine_fen)}元、加处罚款{yuan(surcharge_fen)}元",
        amount_fen=fine_fen + surcharge_fen,
        surcharge_fen=surcharge_fen,
        performance=_until("到指定的银行或者通过电子支付系统缴纳", until),
        due_date=until.due_date,
        rights=["收到本催告书后可进行陈述申辩"],
        consequences=[_enforcement(p)],
        law=[until.rule.citation],
    )
    return issued(p, doc.DOCUMENT_KIND_DEMAND, contents, service)


def court_application(p: Proceeding, court: str, fine_fen: int, surcharge_fen: int) -> doc.Document:
    """The application for enforcement: to which court, for what, on what ground."""
    contents = doc.Contents(
        facts="当事人在法定期限内不申请行政复议或者提起行政诉讼，又不履行行政处罚决定，经催告仍不履行",
        amount_fen=fine_fen + surcharge_fen,
        surcharge_fen=surcharge_fen,
        performance=f"请{court}强制执行",
        evidence=[each.number for each in p.case.documents],
        law=[_cited(p, "enforcement.court_application", p.today)],
    )
    return issued(p, doc.DOCUMENT_KIND_COURT_APPLICATION, contents)


def correction_order(
    p: Proceeding, facts: str, until: Deadline, service: doc.Service
) -> doc.Document:
    """The order to stop the violation at once, and what follows if it goes on."""
    contents = doc.Contents(
        facts=facts,
        evidence=[each.file.title for each in p.case.evidence],
        law=[_cited(p, p.case.violation.offence, _conduct(p)), until.rule.citation],
        performance="立即停止违法行为",
        consequences=["复查发现拒不改正的，可按原处罚数额按日连续处罚"],
    )
    return issued(p, doc.DOCUMENT_KIND_CORRECTION_ORDER, contents, service)


def _grounds(p: Proceeding, discretion: amounts.Discretion) -> doc.Contents:
    """Facts, evidence, law and the amount with how it follows."""
    case = p.case
    cited = [discretion.offence.citation or _cited(p, case.violation.offence, _conduct(p))]
    if discretion.daily_fen:
        cited.insert(0, _cited(p, case.violation.offence, _conduct(p)))
    if discretion.HasField("table"):
        cited.append(discretion.table.citation)
    return doc.Contents(
        facts=case.investigation.facts,
        evidence=[each.file.title for each in case.evidence],
        law=cited,
        discretion=discretion,
        amount_fen=discretion.chosen_fen,
    )


def _reckoned(p: Proceeding, discretion: amounts.Discretion, verb: str) -> str:
    """How the amount follows, as a person reads it (裁量理由)."""
    basis, law = p.case.daily_basis, LAWS.get(discretion.law_choice)
    if discretion.daily_fen:
        lines = [f"原处罚决定罚款{yuan(basis.original_fine_fen)}元，按日连续处罚{basis.days}日"]
    else:
        floor, ceiling = yuan(discretion.floor_fen), yuan(discretion.ceiling_fen)
        lines = [f"法定罚款幅度{floor}元以上{ceiling}元以下"]
        lines += [
            f"{each.factor}：{each.level}（{each.points}分）" for each in discretion.reckoning
        ]
        lines.append(f"合计{discretion.points}分，计算为{yuan(discretion.computed_fen)}元")
    if law:
        lines.insert(0, law)
    if discretion.apology_reduction_fen:
        lines.append(f"因道歉承诺从轻减{yuan(discretion.apology_reduction_fen)}元")
    if discretion.difference_reason:
        lines.append(f"不按计算数额的理由：{discretion.difference_reason}")
    return "；".join([*lines, f"{verb}罚款{yuan(discretion.chosen_fen)}元"])


def _defence(case: pb.PenaltyCase) -> list[str]:
    """What the party stated and whether it was taken up, and the hearing."""
    lines = [
        f"{each.text}：{'采纳' if each.accepted else '不予采纳'}，{each.consideration}"
        for each in case.statements
    ]
    if case.hearing.concluded:
        lines.append(f"听证：{'已举行' if case.hearing.attended else '当事人未出席'}")
    if case.rights_waived:
        lines.append("当事人明确放弃陈述申辩和听证")
    if not lines and case.HasField("notice_serve_date"):
        lines.append("当事人在法定期限内未陈述申辩")
    return lines


def remedy(p: Proceeding, rule_id: str) -> str:
    """Where which remedy is sought, for example "向某市人民政府申请行政复议"."""
    name = p.rules.rule(rule_id, p.today).name
    return f"向{p.rules.text(ROUTES[rule_id], p.today)}{name}"


def yuan(fen: int) -> str:
    """An amount in yuan, with its fen where there are any."""
    return f"{fen // 100}" + (f".{fen % 100:02}" if fen % 100 else "")


def _within(p: Proceeding, rule_id: str, since: str, what: str) -> str:
    version = p.rules.rule(rule_id, p.today).version
    unit = UNITS[version.unit] if version.unit else ""
    return f"{since}{version.value}{unit}内{what}（{version.citation}）"


def _until(what: str, deadline: Deadline) -> str:
    return f"{day_text(as_date(deadline.due_date))}（含当日）前{what}（{deadline.rule.citation}）"


def _surcharge(p: Proceeding) -> str:
    version = p.rules.rule("penalty.surcharge", p.today).version
    rate, cap = map(_percent, (version.daily_rate, version.cap_ratio))
    return f"逾期不缴纳的，每日按罚款数额的{rate}加处罚款，总额不超过罚款数额的{cap}（{version.citation}）"


def _enforcement(p: Proceeding) -> str:
    return f"经催告仍不履行的，申请人民法院强制执行（{_cited(p, 'enforcement.court_application', p.today)}）"


def _cited(p: Proceeding, rule_id: str, on: date) -> str:
    return p.rules.reference(rule_id, on).citation


def _conduct(p: Proceeding) -> date:
    return as_date(p.case.violation.conduct_date)


def _percent(share: Decimal | None) -> str:
    return f"{(share * 100).normalize():f}%" if share else ""


def day_text(day: date) -> str:
    """A day as a person writes it."""
    return f"{day.year}年{day.month}月{day.day}日"
