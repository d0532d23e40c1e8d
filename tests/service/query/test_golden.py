"""Answers over a small shop's events that were checked by hand, and that any store must give.

`events.jsonl` holds the events, `answers.json` queries and their results. Time, ids and columns are as in `Happened`.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import reference
from agreement import agree
from conftest import Filled
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from reference import Happened

FOLDER = Path(__file__).parent / "golden"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())


def happened(line: str) -> Happened:
    fields = json.loads(line)
    at = datetime.fromisoformat(fields.pop("at"))
    return Happened(round(at.timestamp() * 1000), **fields)


EVENTS = [happened(line) for line in (FOLDER / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shop(filled: Filled) -> str:
    return filled.project(EVENTS)


@pytest.mark.parametrize("case", ANSWERS, ids=[case["what"] for case in ANSWERS])
def test_answers(filled: Filled, shop: str, case: dict[str, Any]) -> None:
    query = parse_query(case["query"] | {"projectId": "shop"}, "UTC")
    found = filled.run(answered(query, Scope(filled.table, shop, query), filled.rows))
    agree(found.results, case["results"])
    agree(case["results"], reference.answer(query, EVENTS))
