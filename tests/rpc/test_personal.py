"""Fields marked personal: found wherever they are, checked at the start, shown to who may see them."""

import pytest
from echo_service import ALICE, echo_pb2, echo_pb2_grpc, serving
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from bihuan.types.v1 import options_pb2
from rpc import personal
from rpc.identity import Identity
from rpc.permissions import Permissions

Field = descriptor_pb2.FieldDescriptorProto
OPENER = Identity("carol", "Carol", frozenset({"talker", "opener"}))
PHONE = "13947212345"


def message(**marked):
    """A message with two strings, a number, a list and a self, fields marked with these subjects."""
    kinds = {
        "id": (Field.TYPE_STRING, Field.LABEL_OPTIONAL),
        "phone": (Field.TYPE_STRING, Field.LABEL_OPTIONAL),
        "age": (Field.TYPE_INT32, Field.LABEL_OPTIONAL),
        "names": (Field.TYPE_STRING, Field.LABEL_REPEATED),
        "friend": (Field.TYPE_MESSAGE, Field.LABEL_OPTIONAL),
    }
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    file.dependency.append(options_pb2.DESCRIPTOR.name)
    kind = file.message_type.add(name="Person")
    for number, (name, (type_, label)) in enumerate(kinds.items(), 1):
        field = kind.field.add(name=name, number=number, type=type_, label=label)
        if type_ == Field.TYPE_MESSAGE:
            field.type_name = ".p.Person"
        if name in marked:
            field.options.Extensions[options_pb2.personal].subject = marked[name]
    pool = descriptor_pool.DescriptorPool()
    for dependency in (descriptor_pb2.DESCRIPTOR, options_pb2.DESCRIPTOR):
        pool.AddSerializedFile(dependency.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Person"))


@pytest.mark.parametrize(
    ("marked", "complaint"),
    [
        ({"phone": "nobody"}, "p.Person.phone: its subject 'nobody' is no string beside it"),
        ({"phone": ""}, "p.Person.phone: its subject '' is no string beside it"),
        ({"phone": "age"}, "subject 'age' is no string"),
        ({"phone": "names"}, "subject 'names' is no string"),
        ({"phone": "friend"}, "subject 'friend' is no string"),
        ({"phone": "phone"}, "subject 'phone' is personal itself"),
        ({"phone": "id", "id": "phone"}, "is personal itself"),
        ({"age": "id"}, "p.Person.age is personal and not one string"),
        ({"names": "id"}, "p.Person.names is personal and not one string"),
    ],
)
def test_a_mark_that_cannot_be_is_named(marked, complaint):
    with pytest.raises(ValueError, match=complaint):
        personal.check([message(**marked).DESCRIPTOR])


def test_values_are_found_in_a_message_that_holds_itself():
    person = message(phone="id")
    assert personal.reaches(person.DESCRIPTOR)
    carol = person(id="c", phone="1", friend=person(id="d", friend=person(id="e", phone="2")))
    assert [(v.subject, v.text) for v in personal.values(carol)] == [("c", "1"), ("e", "2")]
    assert personal.blanked(carol) == person(id="c", friend=person(id="d", friend=person(id="e")))
    assert carol.phone == "1", "the message itself is left as it was"


def test_values_are_found_in_lists_and_maps():
    people = [echo_pb2.Person(id=str(n), phone=f"phone {n}") for n in range(3)]
    answer = echo_pb2.EchoResponse(person=people[0], people=people[1:2], named={"c": people[2]})
    assert sorted(v.text for v in personal.values(answer)) == ["phone 0", "phone 1", "phone 2"]
    assert not personal.holds(personal.blanked(answer))


def test_messages_without_personal_fields_are_not_even_copied():
    plain = message()(id="c", phone="1")
    assert not personal.reaches(plain.DESCRIPTOR)
    assert personal.blanked(plain) is plain


def test_every_proto_of_ours_marks_what_can_be_marked():
    from bihuan.rectification.v1 import events_pb2, problem_pb2
    from services import app

    assert app
    for file in (events_pb2, problem_pb2):
        personal.check(file.DESCRIPTOR.message_types_by_name.values())
    assert personal.reaches(events_pb2.ProblemReported.DESCRIPTOR)


async def opened(answer):
    return personal.replaced(answer, lambda value: value.text.removeprefix("sealed "))


@pytest.mark.parametrize(
    ("identity", "seen"),
    [
        (ALICE, ""),
        (OPENER, PHONE),
        (Identity("dan", "", OPENER.roles, enterprise="91150203MA0KDL0112"), ""),
    ],
)
async def test_answers_of_every_kind_are_opened_for_who_may_see_persons(issuer, identity, seen):
    async with serving(issuer, roles=ROLES, open_personal=opened) as served:
        assert await phones(served, identity) == [seen] * 5


async def test_a_server_that_cannot_open_shows_nobody(issuer):
    async with serving(issuer, roles=ROLES) as served:
        assert await phones(served, OPENER) == [""] * 5


ROLES = Permissions({"talker": ["test.*"], "opener": [personal.PERMISSION]})


async def phones(served, identity):
    """What the caller gets of a phone: once, three times in a stream, and once for a stream."""
    request = echo_pb2.EchoRequest(title="hello", act="person")
    async with served.channel(identity) as channel:
        stub = echo_pb2_grpc.EchoServiceStub(channel)
        answers = [await stub.Echo(request), *[reply async for reply in stub.Repeat(request)]]
        answers.append(await stub.Gather(iter([request])))
    assert {answer.person.id for answer in answers} == {"p"}
    return [answer.person.phone for answer in answers]


def test_the_permission_is_not_among_all_that_may_be_read():
    shipped = Permissions.load()
    may = {r for r in shipped.roles if shipped.allows(frozenset({r}), personal.PERMISSION)}
    assert may == {"officer", "verifier", "legal_reviewer", "decider", "supervisor"}
