from contextlib import ExitStack

import pytest
from headgate_service.errors import TooManyTails
from headgate_service.log.tail import Watchers
from headgate_service.model.principal import Principal, PrincipalKind

ADA, BOB, CY = (Principal(PrincipalKind.SESSION, user_id=name, credential_id=f"ses_{name}") for name in "abc")


def test_so_many_watch_at_once_and_so_many_of_each() -> None:
    watchers = Watchers(most=3, most_each=2)
    with ExitStack() as watching:
        for who in (ADA, ADA, BOB):
            watching.enter_context(watchers.one_more(who))
        with pytest.raises(TooManyTails, match="you watch 2 times"):
            watching.enter_context(watchers.one_more(ADA))
        with pytest.raises(TooManyTails, match="as many"):
            watching.enter_context(watchers.one_more(CY))
    with ExitStack() as watching:
        for who in (ADA, ADA, CY):
            watching.enter_context(watchers.one_more(who))
