"""An error becomes google.rpc.Status with the details its code calls for, and back again."""

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, PreconditionFailure, ResourceInfo

from rpc import errors

ERRORS = [
    errors.invalid_argument("BAD", "bad", [("items[2].title", "too long")], hint="x"),
    errors.failed_precondition("PROBLEM_CLOSED", "closed", state="CLOSED", resource="problems/1"),
    errors.not_found("bihuan.dev/Problem", "problems/1"),
    errors.aborted("ETAG_MISMATCH", "changed", etag="7"),
    errors.already_exists("REQUEST_ID_REUSED", "other body"),
    errors.permission_denied("NOT_YOURS", "not yours", resource="problems/1"),
    errors.unauthenticated("TOKEN_MISSING", "no token"),
    errors.unavailable("BUSY", "later", retry_seconds=0.25),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_an_error_survives_the_wire(error):
    back = errors.StatusError.from_status(error.to_status())
    assert vars(back) == vars(error)
    assert str(back) == str(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_every_error_carries_its_reason_and_our_domain_first(error):
    info = ErrorInfo()
    assert error.to_status().details[0].Unpack(info)
    assert (info.reason, info.domain) == (error.reason, "bihuan")


def test_a_failed_precondition_names_what_and_why():
    failure = PreconditionFailure()
    assert ERRORS[1].to_status().details[1].Unpack(failure)
    [violation] = failure.violations
    assert (violation.type, violation.subject) == ("PROBLEM_CLOSED", "problems/1")
    assert violation.description == "closed"


def test_what_is_not_found_is_named():
    error = ERRORS[2]
    info = ResourceInfo()
    assert error.to_status().details[1].Unpack(info)
    assert (info.resource_type, info.resource_name) == ("bihuan.dev/Problem", "problems/1")
    assert (error.code, error.reason) == (Code.NOT_FOUND, "PROBLEM_NOT_FOUND")


def test_a_message_names_the_fields_at_fault_as_many_clients_show_nothing_else():
    at_fault = [("a.b", "must be given")]
    said = {"a.b is missing": "a.b is missing", "no date": "no date: a.b must be given"}
    for message, told in said.items():
        assert errors.invalid_argument("R", message, at_fault).message == told
    many = [(f"f{n}", "is wrong") for n in range(20)]
    message = errors.invalid_argument("R", "wrong", many).message
    assert message.endswith("f5 is wrong"), "the details have them all"
