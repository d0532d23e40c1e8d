"""The guide's examples are queries, and its tables name what there is."""

import json
import re
from pathlib import Path

import pytest
from headgate_service.query.csv_text import COLUMNS
from headgate_service.query.filter import CANONICAL, OPS
from headgate_service.query.metric import AGGREGATES, MEASURES
from headgate_service.query.query import TYPES, parse_query

PAGE = (Path(__file__).parents[3] / "docs/guide/query.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(example):
    parse_query(json.loads(example), "UTC")


def test_there_is_one_of_each_type():
    assert {json.loads(example)["type"] for example in EXAMPLES} == set(TYPES)


@pytest.mark.parametrize("name", [*OPS, *CANONICAL, *AGGREGATES, *MEASURES])
def test_names(name):
    assert f"`{name}`" in PAGE or f'"{name}"' in PAGE


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns(kind):
    assert f"| `{kind}` | `{','.join(COLUMNS[kind])}` |" in PAGE
