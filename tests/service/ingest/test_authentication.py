"""Where the events of the API without credentials go."""

import pytest
from headgate_service.config import PublicRoute

ROUTE = PublicRoute("default", {"shop.example": "shop"})


@pytest.mark.parametrize("origin", ["https://shop.example", "http://SHOP.example:8443"])
def test_an_origins_host_has_its_project(origin):
    assert ROUTE.project_for(origin) == "shop"


@pytest.mark.parametrize(
    "origin", ["", "null", "shop.example", "https://other.example", "http://[::1", "http://\u2100.x"]
)
def test_any_other_origin_and_what_is_none_go_to_the_default(origin):
    assert ROUTE.project_for(origin) == "default"
