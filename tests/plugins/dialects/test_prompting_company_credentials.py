"""Where API 4 finds its credential and its project, as its published client sends them."""

import pytest
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.sdk.dialect import Inbound, Rejection, Unparsable

BODY = b'{"event":"page_visit","page":{"href":"https://a.example/"}}'
SESSION = "better-auth.session_token"


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer org_live_x"}, "org_live_x"),
        ({"authorization": "Bearer a.b.c"}, "bearer:a.b.c"),
        ({SESSION: "s1"}, "session:s1"),
        ({"authorization": "Bearer org_live_x", SESSION: "s1"}, "org_live_x"),
    ],
)
def test_credential(headers: dict[str, str], credential: str) -> None:
    assert PromptingCompany().parse(Inbound(headers, BODY)).credential == credential


def test_a_cookie_still_needs_the_same_origin() -> None:
    with pytest.raises(Unparsable) as raised:
        PromptingCompany().parse(Inbound({"cookie": f"{SESSION}=s1"}, BODY))
    assert raised.value.cause is Rejection.FOREIGN_ORIGIN


def test_the_product_slug_names_the_project() -> None:
    headers = {"x-api-key": "org_live_x", "x-tpc-product-slug": "shop"}
    assert PromptingCompany().parse(Inbound(headers, BODY)).project == "shop"
    assert PromptingCompany().parse(Inbound(headers | {"x-headgate-project": "blog"}, BODY)).project == "blog"
