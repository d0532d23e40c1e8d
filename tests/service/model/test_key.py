import secrets

import pytest
from headgate_service.model.key import (
    ALPHABET,
    KEY_PREFIXES,
    FreshKey,
    KeyKind,
    KeyMalformed,
    key_hash,
    lookup_prefix,
    make_key,
    parse_key,
    random_text,
    same_hash,
)


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_tells_its_kind(kind: KeyKind) -> None:
    key = make_key(kind, secrets.token_bytes)
    assert key.startswith(KEY_PREFIXES[kind])
    assert len(key) == len(KEY_PREFIXES[kind]) + 26 + 6
    assert parse_key(key) is kind


def test_a_key_spends_at_least_128_random_bits() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return secrets.token_bytes(size)

    seen = {make_key(KeyKind.SECRET, random) for _ in range(1000)}
    assert len(seen) == 1000
    assert min(asked) * 8 >= 128
    places = zip(*(key[len("sk_live_") : -6] for key in seen), strict=True)
    assert all(len(set(place)) == len(ALPHABET) for place in places)


def test_one_wrong_character_anywhere_is_known_for_a_typing_error() -> None:
    key = make_key(KeyKind.PUBLIC, secrets.token_bytes)
    for place in range(len("pk_live_"), len(key)):
        for letter in ALPHABET:
            if letter != key[place]:
                with pytest.raises(KeyMalformed):
                    parse_key(key[:place] + letter + key[place + 1 :])


def test_two_neighbours_exchanged_are_known_for_a_typing_error() -> None:
    key = make_key(KeyKind.PUBLIC, secrets.token_bytes)
    for place in range(len("pk_live_"), len(key) - 1):
        swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
        if swapped != key:
            with pytest.raises(KeyMalformed):
                parse_key(swapped)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key.upper(),
        lambda key: " " + key,
        lambda key: key + "\n",
        lambda key: key.replace("pk_live_", "pk_test_"),
        lambda key: key.replace("pk_live_", "sk_live_"),
        lambda key: "pk_dGhpcyBpcyBhIHRlc3Q",
        lambda key: "pk_live_xxx",
        lambda key: "bearer:" + key,
        lambda key: key[:-1] + "é",
        lambda key: key[:-1] + "\ud800",
    ],
)
def test_what_is_no_key_is_malformed_and_not_repeated(change) -> None:
    text = change(make_key(KeyKind.PUBLIC, secrets.token_bytes))
    with pytest.raises(KeyMalformed) as caught:
        parse_key(text)
    assert not text.strip() or text not in str(caught.value)


def test_a_fresh_key_does_not_show_itself() -> None:
    key = FreshKey("key_1", KeyKind.SECRET, (), make_key(KeyKind.SECRET, secrets.token_bytes))
    assert key.text not in repr(key)


def test_hashes_are_compared_whole() -> None:
    one, other = key_hash("one"), key_hash("other")
    assert same_hash(one, key_hash("one"))
    assert not same_hash(one, other)
    assert not same_hash(lookup_prefix(one), one)
    assert one.startswith(lookup_prefix(one))
    assert len(one) == 32


def test_random_text_is_as_long_as_asked() -> None:
    assert random_text(20, lambda size: b"\xff" * size) == "z" * 20
    assert random_text(20, lambda size: b"\x00" * size) == "0" * 20
