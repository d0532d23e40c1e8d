"""Who is signed in, as the event path knows it, while the database is well, slow or away."""

import asyncio

import pytest
from headgate_service import errors
from headgate_service.errors import ControlDbUnavailable, CredentialInvalid, DirectoryUnavailable
from headgate_service.ingest.sessions import MAX_ASKED, MEMORY_SECONDS, Known, SessionCache
from headgate_service.model.principal import Principal, PrincipalKind, Role

ADA = Principal(PrincipalKind.SESSION, "usr_ada", "ada@example.com")


class Answers:
    """Answers when `open` is set, with `error` where there is one; counts how often it was asked."""

    def __init__(self) -> None:
        self.open, self.error, self.asked, self.now = asyncio.Event(), None, 0, 0.0
        self.open.set()
        self.people = SessionCache(self, lambda: self.now)

    async def principal_of(self, text: str, *, used: bool) -> Principal:
        assert not used
        self.asked += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return ADA

    async def roles(self, principal: Principal) -> dict[str, Role]:
        return {"prj_1": Role.MEMBER}


async def test_many_who_ask_at_once_ask_once_and_the_answer_is_remembered_for_a_moment():
    answers = Answers()
    found = await asyncio.gather(*(answers.people.find("text") for _ in range(20)))
    assert (set(map(repr, found)), answers.asked) == ({repr(Known(ADA, {"prj_1": Role.MEMBER}))}, 1)
    answers.error = errors.CredentialInvalid("ended")
    assert await answers.people.find("text")
    answers.now += MEMORY_SECONDS
    with pytest.raises(CredentialInvalid):
        await answers.people.find("text")
    assert answers.asked == 2


async def test_what_is_not_good_is_remembered_too():
    answers = Answers()
    answers.error = errors.CredentialInvalid("unknown")
    for _ in range(5):
        with pytest.raises(CredentialInvalid):
            await answers.people.find("text")
        assert await answers.people.soon("text", 1) is None
    assert answers.asked == 1


@pytest.mark.parametrize("error", [ControlDbUnavailable("away"), errors.KeysUnavailable("away")])
async def test_what_cannot_be_told_is_neither_good_nor_bad_and_is_asked_again(error):
    answers = Answers()
    answers.error = error
    assert await answers.people.soon("text", 1) is None
    with pytest.raises(DirectoryUnavailable):
        await answers.people.find("text")
    answers.error = None
    assert await answers.people.find("text")


async def test_who_need_not_know_does_not_wait_for_what_is_slow_and_knows_it_later():
    answers = Answers()
    answers.open.clear()
    assert await answers.people.soon("text", 0.01) is None
    for number in range(MAX_ASKED + 10):
        assert await answers.people.soon(f"other {number}", 0) is None
    assert answers.asked <= MAX_ASKED
    answers.open.set()
    assert await answers.people.find("text")
    assert await answers.people.soon("text", 0) is not None
