"""Reads a scenario: who acts on which day. What is wrong with it is said by line before anything starts."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import protovalidate
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.types.v1.evidence_pb2 import Evidence
from ops.domains import DOMAINS, Domain
from ops.failures import ScenarioError
from rpc.identity import Identity
from rpc.messages import dotted
from rpc.permissions import ROLES_FILE, Permissions
from rules.documents import NotYaml, read, tree

Location: TypeAlias = tuple[int | str, ...]
ACKNOWLEDGE = "AcknowledgeNotices"
# What the driver fills in itself, valid so that the rest can be checked.
ANY_ID = "00000000-0000-4000-8000-000000000000"
ANY_FILE = {"sha256": "0" * 64, "sizeBytes": "0", "mediaType": "text/plain", "title": "-"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(_Strict):
    """Somebody of an agency."""

    name: str
    roles: list[str] = Field(min_length=1)
    subject: str


class Company(_Strict):
    """An enterprise."""

    uscc: str
    display_name: str


class Attachment(_Strict):
    """A file put in evidence with a step."""

    title: str
    text: str = Field(min_length=1)


class Step(_Strict):
    """One call, on one day, as one person or enterprise."""

    date: datetime.date
    who: str = Field(alias="as")
    call: str
    arguments: dict[str, Any] = Field({}, alias="with")
    attach: list[Attachment] = []


class Case(_Strict):
    """One problem or penalty case, and what is done about it."""

    key: str
    enterprise: str
    steps: list[Step] = Field(min_length=1)


class _File(_Strict):
    name: str
    starts: datetime.date
    ends: datetime.date
    day_seconds: float = Field(1.0, gt=0)
    people: dict[str, Person]
    enterprises: dict[str, Company]
    problems: list[Case] = []
    penalties: list[Case] = []

    @model_validator(mode="after")
    def _of_one_domain(self) -> "_File":
        if bool(self.problems) == bool(self.penalties):
            raise ValueError("a scenario plays either problems or penalties")
        return self

    @property
    def domain(self) -> Domain:
        """What it plays."""
        return DOMAINS["problems" if self.problems else "penalties"]

    @property
    def cases(self) -> list[Case]:
        """Its problems, or its penalty cases."""
        return self.problems or self.penalties


@dataclass(frozen=True)
class Scenario:
    """A scenario that can be played; a legal day lasts `day_seconds` unless told otherwise."""

    name: str
    domain: Domain
    starts: datetime.date
    ends: datetime.date
    day_seconds: float
    identities: Mapping[str, Identity]
    enterprises: Mapping[str, pb.Enterprise]
    cases: Sequence[Case]

    def request(self, case: Case, step: Step) -> Message:
        """The request of a step, without request_id, name and evidence."""
        arguments = _plain(step.arguments)
        if step.call == self.domain.opening:
            for field, known in self.domain.party(self.enterprises[case.enterprise]).items():
                arguments[field] = known | arguments.get(field, {})
        message = GetMessageClass(self.domain.methods[step.call].input_type)()
        return json_format.ParseDict(arguments, message)


def _plain(value: Any) -> Any:
    """`value` as JSON has it: a day as year, month and day."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime.date():
            return {"year": value.year, "month": value.month, "day": value.day}
        case _:
            return value


def load(path: Path, roles_file: Path = ROLES_FILE) -> Scenario:
    """The scenario in `path`, with the roles that `roles_file` knows. Raises ScenarioError."""
    text = _text(path)
    try:
        root = tree(text, str(path))
        file = _File.model_validate(read(text, str(path)))
    except NotYaml as error:
        raise ScenarioError(f"{path}:{error.line}: not YAML: {error.problem}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ScenarioError(
            f"{path}:{_line(root, first['loc'])}: {where}: {first['msg']}"
        ) from error
    for location, reason in chain(_people_faults(file, roles_file), _faults(file)):
        raise ScenarioError(f"{path}:{_line(root, location)}: {reason}")
    return _scenario(file)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScenarioError(f"{path}:{line}: not UTF-8: {error.reason}") from error


def _scenario(file: _File) -> Scenario:
    identities = {key: _identity(person) for key, person in file.people.items()}
    for key, company in file.enterprises.items():
        identities[key] = Identity(
            key, company.display_name, frozenset({"enterprise"}), enterprise=company.uscc
        )
    companies = {
        key: pb.Enterprise(uscc=company.uscc, display_name=company.display_name)
        for key, company in file.enterprises.items()
    }
    return Scenario(
        file.name,
        file.domain,
        file.starts,
        file.ends,
        file.day_seconds,
        identities,
        companies,
        file.cases,
    )


def _identity(person: Person) -> Identity:
    return Identity(person.subject, person.name, frozenset(person.roles))


def _people_faults(file: _File, roles_file: Path) -> Iterator[tuple[Location, str]]:
    """Who cannot be, and why."""
    known = Permissions.load(roles_file).roles
    for key, person in file.people.items():
        for index, role in enumerate(person.roles):
            if role not in known:
                at = ("people", key, "roles", index)
                yield at, f"{key}: role {role} is none of {', '.join(sorted(known))}"
        try:
            _identity(person)
        except ValueError as error:
            yield ("people", key), f"{key}: {error}"


def _faults(file: _File) -> Iterator[tuple[Location, str]]:
    """Where and why the scenario cannot be played, in the order of the file."""
    scenario = _scenario(file)
    for key, company in scenario.enterprises.items():
        for violation in protovalidate.collect_violations(company):
            yield ("enterprises", key), f"enterprise {key}: {violation.proto.message}"
    for key in file.enterprises.keys() & file.people.keys():
        yield ("enterprises", key), f"{key} is both a person and an enterprise"
    for number, case in enumerate(file.cases):
        at = (file.domain.section, number)
        if case.enterprise not in file.enterprises:
            yield (*at, "enterprise"), f"enterprise {case.enterprise} is not listed"
            return
        if case.steps[0].call != file.domain.opening:
            yield (*at, "steps", 0, "call"), f"the first step must be {file.domain.opening}"
        before = file.starts
        for index, step in enumerate(case.steps):
            yield from _step_faults(scenario, case, step, before, (*at, "steps", index))
            before = step.date
        if before > file.ends:
            last = len(case.steps) - 1
            yield (
                (*at, "steps", last, "date"),
                f"{before} lies after the scenario ends, {file.ends}",
            )


def _step_faults(
    scenario: Scenario, case: Case, step: Step, before: datetime.date, at: Location
) -> Iterator[tuple[Location, str]]:
    if step.who not in scenario.identities:
        yield (*at, "as"), f"{step.who} is neither among the people nor the enterprises"
    if step.date < before:
        yield (*at, "date"), f"{step.date} lies before {before}"
    if step.call == ACKNOWLEDGE:
        return
    if step.call not in scenario.domain.methods:
        services = " or ".join(scenario.domain.stubs)
        yield (*at, "call"), f"{services} has no method {step.call}"
        return
    try:
        request = scenario.request(case, step)
    except json_format.ParseError as error:
        yield (*at, "with"), f"{step.call}: {str(error).splitlines()[0]}"
        return
    for violation in protovalidate.collect_violations(_filled(scenario.domain, request, step)):
        field = violation.proto.field
        where = (*at, "with", *_keys(field))
        yield where, f"{step.call}: {dotted(field)}: {violation.proto.message}"


def _keys(path: protovalidate.FieldPathPb | None) -> Iterator[int | str]:
    """The keys and places that lead to a field in the file."""
    for element in path.elements if path else ():
        yield element.field_name
        if element.subscript is not None:
            yield element.subscript.value


def _filled(domain: Domain, request: Message, step: Step) -> Message:
    filler: dict[str, Any] = {"requestId": ANY_ID}
    if "name" in request.DESCRIPTOR.fields_by_name:
        filler["name"] = f"{domain.collection}/{ANY_ID}"
    whole = type(request)()
    whole.CopyFrom(request)
    enclose(whole, [json_format.ParseDict(ANY_FILE, Evidence())] * len(step.attach))
    return json_format.ParseDict(filler, whole)


def enclose(request: Any, files: Iterable[Evidence]) -> None:
    """Put `files` into the evidence of a request, where it has any: as they are, or each into the entry
    that says what kind of evidence it is.
    """
    field = request.DESCRIPTOR.fields_by_name.get("evidence")
    if field is None:
        return
    if field.message_type == Evidence.DESCRIPTOR:
        request.evidence.extend(files)
        return
    for entry, file in zip(request.evidence, files, strict=False):
        entry.file.CopyFrom(file)


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line, from 1, of the deepest part of `location` that is in the file."""
    line = 1
    for part in location:
        below = _below(node, part)
        if below is None:
            break
        node, line = below
    return line


def _below(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        value = node.value[part]
        return value, value.start_mark.line + 1
    return None
