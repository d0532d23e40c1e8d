"""What a sink gets to see of an event."""

import json

import pytest
from headgate.v1 import event_pb2
from headgate_service.model.event_view import ALWAYS, Fields, FieldsInvalid

PROPERTIES = {"plan": "pro", "email": "a@example.com", "card": {"number": "4111", "type": "visa"}, "a.b": 1}


def event() -> event_pb2.Event:
    made = event_pb2.Event(
        event_id="1",
        name="purchase",
        project_id="prj_a",
        user_id="u",
        distinct_id="d",
        session_id="s",
        page=event_pb2.Page(href="https://example.com/", referrer="https://other.example/"),
        request=event_pb2.Request(client_ip="192.0.2.1"),
        dialect=event_pb2.DIALECT_GRPC,
        sample_weight=1,
        properties_json=json.dumps(PROPERTIES).encode(),
    )
    made.occur_time.FromSeconds(1)
    made.receive_time.FromSeconds(2)
    return made


def properties(seen: event_pb2.Event) -> dict:
    return json.loads(seen.properties_json or b"{}")


def names(seen: event_pb2.Event) -> set[str]:
    return {found.name for found, _ in seen.ListFields()}


def test_an_address_that_is_excluded_is_gone_as_it_was_sent_too():
    one = event()
    one.page.sent_href = "https://example.com"
    assert Fields(exclude=("page.href",)).of(one).page == event_pb2.Page(referrer="https://other.example/")


def test_without_a_choice_everything_is_seen():
    assert Fields().of(event()) == event()


def test_what_is_excluded_is_gone_and_the_rest_stays():
    seen = Fields(exclude=("user_id", "page.referrer", "request", "properties.email", "properties.card.number")).of(
        event()
    )
    assert names(seen) == names(event()) - {"user_id", "request"}
    assert seen.page == event_pb2.Page(href="https://example.com/")
    assert properties(seen) == {"plan": "pro", "card": {"type": "visa"}, "a.b": 1}


def test_only_what_is_included_is_seen_beside_what_every_sink_gets():
    seen = Fields(include=("distinct_id", "page.href", "properties.plan", "properties.card.type", "properties.a.b")).of(
        event()
    )
    assert names(seen) == ALWAYS | {"distinct_id", "page", "properties_json"}
    assert properties(seen) == {"plan": "pro", "card": {"type": "visa"}, "a.b": 1}
    assert names(Fields(include=()).of(event())) == ALWAYS
    assert properties(Fields(include=("properties",)).of(event())) == PROPERTIES


def test_an_exclusion_holds_within_what_is_included():
    seen = Fields(include=("properties",), exclude=("properties.email", "properties.card")).of(event())
    assert properties(seen) == {"plan": "pro", "a.b": 1}


def test_properties_are_renamed_in_their_place_last():
    seen = Fields(
        exclude=("properties.email",), rename={"plan": "tier", "card.type": "brand", "a.b": "c", "none": "x"}
    ).of(event())
    assert properties(seen) == {"tier": "pro", "card": {"number": "4111", "brand": "visa"}, "c": 1}


def test_the_event_itself_stays_as_it_is():
    given = event()
    Fields(include=(), exclude=("page",), rename={"plan": "tier"}).of(given)
    assert given == event()


def test_a_choice_outlives_being_kept():
    chosen = Fields(("user_id",), ("properties.email",), {"plan": "tier"})
    assert Fields.parse(chosen.source) == chosen
    assert Fields.parse(Fields().source) == Fields()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"exclude": ("event_id",)}, "goes to every sink"),
        ({"include": ("receive_time",)}, "goes to every sink"),
        ({"exclude": ("usr_id",)}, "is not a field"),
        ({"exclude": ("page.colour",)}, "page has"),
        ({"exclude": ("page.href.x",)}, "is not a field"),
        ({"include": ("user_id.x",)}, "is not a field"),
        ({"include": ("properties.",)}, "is not a field"),
        ({"rename": {"plan": "a.b"}}, "plain name"),
        ({"rename": {"": "a"}}, "plain name"),
    ],
)
def test_what_cannot_be_chosen_is_named(choice, message):
    with pytest.raises(FieldsInvalid, match=message):
        Fields(**choice)
