"""What the documents on deferral and instalments say: consent, refusal, revocation. Pure.

The consent goes to the party and to the bank that collects (同意延期（分期）缴纳罚款通知书).
"""

from collections.abc import Iterable
from datetime import date

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import document_pb2 as pb
from bihuan.types.v1.deadline_pb2 import CONFIDENCE_LOW
from rules import Rule
from services.penalty.account import missed, statement, unpaid_fine
from services.penalty.documents import UNITS, day_text, decision_number, issued, remedy, yuan
from services.penalty.proceeding import Proceeding, day_message, due_date

DEFAULT, GRACE, DEMAND = "penalty.plan_default", "penalty.plan_grace", "enforcement.demand"
REVIEW, LATE = "penalty.plan_review", "penalty.late_application"
REMEDIES = ("remedy.reconsideration", "remedy.suit")
GROUNDS = {
    money.HARDSHIP_GROUND_LOW_INCOME: "家庭经济困难",
    money.HARDSHIP_GROUND_ILLNESS: "疾病或意外负担重",
    money.HARDSHIP_GROUND_FORCE_MAJEURE: "不可抗力造成损失",
    money.HARDSHIP_GROUND_BUSINESS: "经营困难可能停产停业",
}


def consent(
    p: Proceeding,
    account: money.Account,
    application: money.Application,
    plan: money.Plan,
    reasons: str,
) -> pb.Document:
    """The consent with the schedule. `account` has the terms that it brings."""
    last = plan.instalments[-1].deadline
    contents = _contents(p, reasons)
    contents.facts = _applied(p, application)
    contents.evidence.extend(each.title for each in application.evidence)
    contents.law.extend(_distinct([_rule(p, REVIEW).version.citation, *_citations(plan)]))
    contents.amount_fen = sum(each.amount_fen for each in plan.instalments)
    contents.surcharge_fen = _surcharge_due(p, account)
    contents.performance = _performance(plan, contents.surcharge_fen)
    contents.due_date.CopyFrom(last.due_date)
    contents.schedule.extend(
        pb.ScheduleLine(due_date=each.deadline.due_date, amount_fen=each.amount_fen)
        for each in plan.instalments
    )
    contents.consequences.extend([_grace(p), _surcharge(p), _enforcement(p)])
    return issued(p, pb.DOCUMENT_KIND_CONSENT, contents)


def refusal(p: Proceeding, application: money.Application, reasons: str) -> pb.Document:
    """The refusal: what was due stays due."""
    account = p.case.account
    contents = _contents(p, reasons)
    contents.facts = _applied(p, application)
    contents.evidence.extend(each.title for each in application.evidence)
    cited = [REVIEW, LATE] if application.late else [REVIEW]
    contents.law.extend(_distinct(_rule(p, rule_id).version.citation for rule_id in cited))
    contents.amount_fen = statement(account, p.rules, p.today).outstanding_fen
    contents.surcharge_fen = _surcharge_due(p, account)
    contents.performance = "按原缴款期限缴纳"
    for term in account.terms[-1:]:
        if term.HasField("due_date"):
            contents.due_date.CopyFrom(term.due_date)
    contents.consequences.extend([_surcharge(p), _enforcement(p)])
    return issued(p, pb.DOCUMENT_KIND_REFUSAL, contents)


def revocation(
    p: Proceeding, account: money.Account, plan: money.Plan, reasons: str, due: date
) -> pb.Document:
    """The revocation of a plan as it was: what is unpaid fell due on `due`. `account` has those terms."""
    contents = _contents(p, reasons)
    contents.facts = "；".join(_broken(plan))
    contents.law.extend(_distinct([_rule(p, REVIEW).version.citation, *_citations(plan)]))
    contents.amount_fen = statement(account, p.rules, p.today).outstanding_fen
    contents.surcharge_fen = _surcharge_due(p, account)
    contents.performance = f"未缴余额于{day_text(due)}一次缴清"
    contents.due_date.CopyFrom(day_message(due))
    contents.consequences.extend([_surcharge(p), _enforcement(p)])
    return issued(p, pb.DOCUMENT_KIND_REVOCATION, contents)


def _contents(p: Proceeding, reasons: str) -> pb.Contents:
    return pb.Contents(rights=[_remedy(p, rule_id) for rule_id in REMEDIES], reasons=reasons)


def _applied(p: Proceeding, application: money.Application) -> str:
    grounds = "、".join(GROUNDS[ground] for ground in application.grounds)
    late = "在缴款期限届满后" if application.late else ""
    fine = f"延期（分期）缴纳{decision_number(p.case)}行政处罚决定的罚款"
    return f"当事人{late}以{grounds}为由申请{fine}：{application.statement}"


def _performance(plan: money.Plan, surcharge_fen: int) -> str:
    how = "分期" if plan.kind == money.PLAN_KIND_INSTALMENTS else "延期"
    text = f"凭本通知书到指定银行{how}缴纳罚款，共{len(plan.instalments)}期"
    if surcharge_fen:
        text += f"，另缴已产生的加处罚款{yuan(surcharge_fen)}元"
    if plan.HasField("pledge"):
        last = day_text(due_date(plan.pledge.deadline))
        text += f"；{last}（含当日）前完成志愿服务{plan.pledge.required_tenths / 10:g}小时"
    return text


def _broken(plan: money.Plan) -> list[str]:
    unpaid = [
        f"第{each.number}期应于{day_text(due_date(each.deadline))}缴纳，"
        f"尚欠{yuan(each.amount_fen - each.paid_fen)}元"
        for each in missed(plan)
    ]
    if plan.pledge.missed:
        unpaid.append(f"未在{day_text(due_date(plan.pledge.deadline))}前完成志愿服务")
    return unpaid


def _grace(p: Proceeding) -> str:
    rule = _rule(p, GRACE)
    automatic = p.rules.choice(DEFAULT, p.today) == "automatic"
    what = "未缴余额到期" if automatic else "本机关可以撤销同意，未缴余额到期"
    return f"任何一期逾期且{_period(rule)}内仍未缴清的，{what}"


def _surcharge(p: Proceeding) -> str:
    rule = p.rules.book.version(
        p.case.account.surcharge_rule.id, p.case.account.surcharge_rule.version
    )
    percent = f"{(rule.version.daily_rate or 0) * 100:f}".rstrip("0").rstrip(".")
    return f"到期不缴纳的，每日按罚款数额的{percent}%加处罚款（{rule.version.citation}）"


def _enforcement(p: Proceeding) -> str:
    rule = _rule(p, DEMAND)
    return f"经催告{_period(rule)}后仍不履行的，申请人民法院强制执行（{rule.version.citation}）"


def _remedy(p: Proceeding, rule_id: str) -> str:
    rule = _rule(p, rule_id)
    return f"可以自收到之日起{_period(rule)}内{remedy(p, rule_id)}（{rule.version.citation}）"


def _period(rule: Rule) -> str:
    return f"{rule.version.value}{UNITS[rule.version.unit]}" if rule.version.unit else ""


def _citations(plan: money.Plan) -> list[str]:
    # How the bureau reads what the law leaves open is no law: only the officer sees it.
    return [rule.citation for rule in plan.rules if rule.confidence != CONFIDENCE_LOW]


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _surcharge_due(p: Proceeding, account: money.Account) -> int:
    found = statement(account, p.rules, p.today)
    return found.outstanding_fen - unpaid_fine(account, p.today)


def _rule(p: Proceeding, rule_id: str) -> Rule:
    return p.rules.rule(rule_id, p.today)
