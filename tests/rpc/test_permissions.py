"""Roles hold permissions as the file of roles says, and nothing else."""

import pytest

from rpc.permissions import Permissions

SHIPPED = Permissions.load()


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("reporter", "rectification.problems.report", "rectification.problems.verify"),
        ("verifier", "rectification.problems.verify", "rectification.problems.order"),
        ("officer", "rectification.problems.order", "rectification.problems.assess"),
        ("officer", "rectification.problems.report", "rectification.problems.submit"),
        ("assessor", "rectification.problems.close", "rectification.problems.review"),
        ("supervisor", "rectification.problems.escalate", "notification.notices.send"),
        ("enterprise", "rectification.problems.submit", "rectification.problems.review"),
        ("loop", "rectification.problems.expire", "rectification.problems.review"),
        ("agency", "feed.events.read", "rectification.problems.report"),
        ("officer", "penalty.cases.notify", "penalty.cases.decide"),
        ("officer", "penalty.plans.apply", "penalty.payments.record"),
        ("legal_reviewer", "penalty.cases.review", "penalty.cases.investigate"),
        ("decider", "penalty.cases.decide", "penalty.cases.review"),
        ("decider", "penalty.plans.decide", "penalty.payments.record"),
        ("bank", "penalty.payments.record", "penalty.cases.read"),
        ("enterprise", "penalty.cases.state", "penalty.cases.notify"),
        ("enterprise", "penalty.plans.apply", "penalty.plans.decide"),
        ("loop", "penalty.cases.expire", "penalty.cases.decide"),
        ("agency", "penalty.payments.read", "penalty.payments.record"),
        ("enterprise", "inspection.items.read", "inspection.plans.read"),
        ("legal", "calendar.years.publish", "rectification.problems.read"),
        ("operator", "evidence.files.read", "evidence.files.upload"),
        ("operator", "feed.events.read", "rectification.problems.close"),
    ],
)
def test_a_role_holds_what_it_needs_and_no_more(role, may, may_not):
    assert SHIPPED.allows(frozenset({role}), may)
    assert not SHIPPED.allows(frozenset({role}), may_not)


def test_roles_add_up_and_unknown_ones_add_nothing():
    roles = frozenset({"reporter", "verifier", "emperor"})
    assert SHIPPED.allows(roles, "rectification.problems.report")
    assert SHIPPED.allows(roles, "rectification.problems.verify")
    assert not SHIPPED.allows(roles, "calendar.years.publish")
    assert not SHIPPED.allows(frozenset(), "rectification.problems.read")


def test_who_lacks_a_permission_can_be_told_which_roles_hold_it():
    assert SHIPPED.holders("inspection.plans.approve") == ["decider", "supervisor"]
    assert SHIPPED.holders("nothing.at.all") == []


def test_another_file_replaces_the_roles(tmp_path):
    (tmp_path / "roles.yaml").write_text("clerk: [notification.notices.*]")
    permissions = Permissions.load(tmp_path / "roles.yaml")
    assert permissions.allows(frozenset({"clerk"}), "notification.notices.send")
    assert not permissions.allows(frozenset({"officer"}), "rectification.problems.read")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a mapping"),
        ("- officer", "expected a mapping"),
        ("officer: rectification.*", "role officer needs a list"),
        ("officer: [Rectification problems]", "role officer: 'Rectification problems'"),
        ("5: [rectification.*]", "role 5 needs"),
        ("officer: [", "not YAML"),
        ("officer: \0", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("officer: [7]", "role officer: 7 is not"),
        ("officer: [true]", "role officer: True is not"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path, text, complaint):
    path = tmp_path / "roles.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint) as refused:
        Permissions.load(path)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*none\.yaml: No such file"):
        Permissions.load(tmp_path / "none.yaml")
