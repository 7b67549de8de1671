"""A profile keeps every value that the API gave, and differs where a value that counts differs."""

import hashlib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauthsync import profiles, strictjson
from oauthsync.profiles import MalformedProfileError, Profile
from tests.store import profile, some

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Keys without a dot: `data.x` is also how a change of `data`'s own `x` is named.
KEYS = st.text("abcxyz_é", min_size=1, max_size=4)
NUMBERS = st.integers() | st.sampled_from(["1.0", "1e400", "0.10", "-2.50E+3"]).map(
    lambda text: strictjson.parse(text)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=3,
)
COUNTS = st.integers(0, 3) | st.none() | st.booleans()


@st.composite
def any_profiles(draw: st.DrawFn) -> Profile:
    fields = {
        **draw(st.dictionaries(KEYS, VALUES, max_size=3)),
        "id": draw(st.integers(1, 4)),
        "name": draw(TEXTS),
        "provider": draw(st.sampled_from(["hubspot", "slack"])),
        "shared_accounts_count": draw(COUNTS),
        "updated_at": draw(TEXTS),
    }
    data = draw(st.none() | st.dictionaries(KEYS, VALUES, max_size=2))
    if data is not None or draw(st.booleans()):
        fields["data"] = data
    return profiles.from_json(fields)


LISTINGS = st.lists(any_profiles(), max_size=3, unique_by=lambda each: each.id)
few = settings(max_examples=25)


class TestParsing:
    @pytest.mark.parametrize(
        "number", ["1.0", "1e400", "-0.0", "900719925474099312345678901234567890", "1E+2", "0.10"]
    )
    def test_a_number_is_kept_as_it_was_written(self, number: str) -> None:
        text = f'{{"id":1,"name":"a","provider":"b","data":{{"rate":{number}}},"z":[{number}]}}'
        found = profiles.from_json(strictjson.parse(text))
        assert found.document.decode().count(number) == 2
        assert profiles.from_document(found.document).document == found.document

    @given(any_profiles())
    def test_a_profile_comes_back_from_its_document(self, found: Profile) -> None:
        assert profiles.from_document(found.document) == found
        assert strictjson.canonical(found.fields).encode() == found.document

    def test_the_order_of_keys_and_the_white_space_make_no_difference(self) -> None:
        one = strictjson.parse('{"id": 1, "name": "a", "provider": "b", "data": {"x": 1, "y": 2}}')
        two = strictjson.parse('{"data":{"y":2,"x":1},"provider":"b","name":"a","id":1}')
        assert profiles.from_json(one) == profiles.from_json(two)

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"id": None}, "`id`"),
            ({"id": "7"}, "`id`"),
            ({"id": True}, "`id`"),
            ({"id": 0}, "`id`"),
            ({"id": -7}, "`id`"),
            ({"id": 2**63}, "`id`"),
            ({"id": strictjson.parse("7.0")}, "`id`"),
            ({"name": None}, "`name`"),
            ({"name": ["canary"]}, "`name`"),
            ({"provider": 7}, "`provider`"),
            ({"data": ["canary"]}, "`data`"),
            ({"data": "canary"}, "`data`"),
            ({"data": {"client_id": 7}}, "`data.client_id`"),
        ],
    )
    def test_what_is_no_profile_is_refused_by_the_name_of_the_field(
        self, fields: dict[str, Any], named: str
    ) -> None:
        good = profile(1).fields
        with pytest.raises(MalformedProfileError) as raised:
            profiles.from_json({**good, **fields})
        assert named in str(raised.value)
        assert "canary" not in str(raised.value)

    @pytest.mark.parametrize("value", [None, 7, "text", [], [{}]])
    def test_what_is_no_object_is_no_profile(self, value: Any) -> None:
        with pytest.raises(MalformedProfileError, match="not an object"):
            profiles.from_json(value)

    @pytest.mark.parametrize("document", [b"", b"{", b"\xff", b'{"id":1,"id":1}', b"[]"])
    def test_a_document_that_is_none_is_refused(self, document: bytes) -> None:
        with pytest.raises(MalformedProfileError):
            profiles.from_document(document)

    def test_a_client_id_may_be_missing(self) -> None:
        assert profile(1, data=None).client_id is None
        assert profile(1, data={}).client_id is None
        assert profile(1, data=None).app == ("slack", None)

    @pytest.mark.parametrize(
        ("counts", "uses"),
        [
            ((0, 0), 0),
            ((2, 5), 7),
            ((None, 5), 5),
            ((None, 0), None),
            ((True, 0), None),
            (("2", 0), None),
            ((strictjson.parse("2.0"), 0), None),
            ((-1, 0), None),
            ((None, None), None),
        ],
    )
    def test_uses_are_known_where_one_count_is_above_zero_or_both_are_counts(
        self, counts: tuple[Any, Any], uses: int | None
    ) -> None:
        shared, customers = counts
        found = profile(1, shared_accounts_count=shared, oem_customers_count=customers)
        assert found.uses == uses

    @pytest.mark.parametrize("user_id", [None, 0, -1, True, "123", 2**63])
    def test_a_workspace_id_that_is_none_is_unknown(self, user_id: Any) -> None:
        assert profile(1, user_id=user_id).user_id is None
        assert profile(1, user_id=2**63 - 1).user_id == 2**63 - 1


class TestSecrets:
    """The API never returns a secret; if it did, it would not get into the database."""

    def test_secrets_in_an_answer_are_left_out(self) -> None:
        data: dict[str, Any] = {"client_id": "c", "client_secret": "canary", "token": "canary"}
        found = profile(1, data={**data, "scopes": ["read"]})
        assert b"canary" not in found.document
        assert found.data == {"client_id": "c", "scopes": ["read"]}

    def test_secrets_in_a_stored_document_are_not_sent(self) -> None:
        document = b'{"data":{"client_id":"c","token":"canary"},"id":1,"name":"a","provider":"b"}'
        assert profiles.from_document(document).data == {"client_id": "c"}

    def test_data_that_is_no_object_has_nothing_to_send(self) -> None:
        assert profile(1, data=None).data == {}


class TestDifference:
    @pytest.mark.parametrize("field", profiles.VOLATILE)
    def test_counts_and_the_time_of_the_update_alone_are_no_change(self, field: str) -> None:
        old, new = profile(1), profile(1, **{field: 99})
        assert old.document != new.document
        assert not profiles.differs(old, new)
        assert not profiles.difference([old], [new])

    def test_what_is_added_removed_and_changed_comes_in_the_order_of_the_ids(self) -> None:
        old = [profile(number) for number in (5, 4, 3, 2, 1)]
        new = [profile(7), profile(6), profile(2, name="New"), profile(1, name="New"), profile(3)]
        found = profiles.difference(old, new)
        assert [each.id for each in found.added] == [6, 7]
        assert [each.id for each in found.removed] == [4, 5]
        assert [each.new.id for each in found.changed] == [1, 2]

    def test_a_change_names_the_fields_on_both_sides(self) -> None:
        old = profile(1, name="Old", data={"client_id": "c", "x": 1}, gone=True)
        new = profile(1, name="New", data={"client_id": "d", "x": 1}, come=None, updated_at="later")
        (change,) = profiles.difference([old], [new]).changed
        assert change.fields == {
            "come": (None, None),
            "data.client_id": ("c", "d"),
            "gone": (True, None),
            "name": ("Old", "New"),
        }

    @pytest.mark.parametrize(
        ("old", "new"), [(1, True), (1, "1.0"), (0, False), ([1], [True]), ({}, None), ([], {})]
    )
    def test_values_that_python_takes_for_equal_are_a_change(self, old: Any, new: Any) -> None:
        if new == "1.0":
            new = strictjson.parse(new)
        (change,) = profiles.difference([profile(1, x=old)], [profile(1, x=new)]).changed
        assert list(change.fields) == ["x"]

    @few
    @given(LISTINGS)
    def test_a_listing_does_not_differ_from_itself(self, found: list[Profile]) -> None:
        assert not profiles.difference(found, reversed(found))

    @few
    @given(LISTINGS, LISTINGS)
    def test_a_difference_turned_round_says_the_same(
        self, old: list[Profile], new: list[Profile]
    ) -> None:
        forth, back = profiles.difference(old, new), profiles.difference(new, old)
        assert (forth.added, forth.removed) == (back.removed, back.added)
        assert [(each.old, each.new) for each in forth.changed] == [
            (each.new, each.old) for each in back.changed
        ]

    def test_the_same_time_in_another_notation_is_no_change(self) -> None:
        times = ("2023-01-15T11:50:32.986-07:00", "2023-01-15T18:50:32.986Z")
        offset, utc = (profile(1, created_at=each) for each in times)
        assert not profiles.difference([offset], [utc])
        for other in ("2023-01-15T18:50:32.987Z", "2023-01-15T18:50:32.986", "yesterday", None, 1):
            [change] = profiles.difference([offset], [profile(1, created_at=other)]).changed
            assert list(change.fields) == ["created_at"]

    @few
    @given(LISTINGS, LISTINGS)
    def test_every_change_has_a_field_to_show(self, old: list[Profile], new: list[Profile]) -> None:
        for change in profiles.difference(old, new).changed:
            assert change.fields
            assert not change.fields.keys() & set(profiles.VOLATILE)


class TestDigest:
    def test_it_is_the_one_that_is_documented(self) -> None:
        found = some(3)
        lines = "".join(
            f"{each.id}:{hashlib.sha256(each.document).hexdigest()}\n" for each in found
        )
        assert profiles.digest(found) == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()

    @few
    @given(LISTINGS, st.randoms())
    def test_the_order_makes_no_difference(self, found: list[Profile], random: Any) -> None:
        shuffled = found.copy()
        random.shuffle(shuffled)
        assert profiles.digest(shuffled) == profiles.digest(found)

    @few
    @given(LISTINGS, LISTINGS)
    def test_it_tells_different_listings_apart(
        self, old: list[Profile], new: list[Profile]
    ) -> None:
        same = {each.id: each for each in old} == {each.id: each for each in new}
        assert (profiles.digest(old) == profiles.digest(new)) == same


def test_a_profile_takes_less_than_a_kilobyte_whatever_it_was_asked() -> None:
    """So that 100,000 of them fit into what an export may take."""
    values = [each.fields for each in some(2000)]
    tracemalloc.start()
    try:
        kept = [profiles.from_json(value) for value in values]
        asked = [bool(each.fields and each.data and each.significant) for each in kept]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(asked)
    assert taken / len(kept) < 1000


@pytest.mark.parametrize(
    ("ids", "agreed"), [([], None), ([5, 5], 5), ([5, 6], None), ([5, None], None), ([None], None)]
)
def test_a_workspace_has_the_id_on_which_its_profiles_agree(
    ids: list[int | None], agreed: int | None
) -> None:
    found = [profile(number, user_id=user_id) for number, user_id in enumerate(ids, 1)]
    assert profiles.workspace_id(found) == agreed
