import pytest
from headgate_service.control_db.database import DatabaseUrlInvalid, driven


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgresql://u:p%40ss@db.internal/headgate", "postgresql+asyncpg://u:p%40ss@db.internal/headgate"),
        ("postgres://u@db/h?ssl=require", "postgresql+asyncpg://u@db/h?ssl=require"),
        ("postgresql+asyncpg://u@/h?host=/run/pg", "postgresql+asyncpg://u@/h?host=%2Frun%2Fpg"),
        ("sqlite:////var/lib/control.db", "sqlite+aiosqlite:////var/lib/control.db"),
    ],
)
def test_a_url_gets_its_driver(written, meant):
    assert driven(written) == meant


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("mysql://root:s3cret@db/h", "mysql is not a supported database"),
        ("postgresql+psycopg2://u:s3cret@db/h", r"postgresql\+asyncpg://"),
        ("s3cret", "not a URL"),
        ("sqlite+aiosqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_what_cannot_be_used_is_said_without_the_secret(written, why):
    with pytest.raises(DatabaseUrlInvalid, match=why) as refused:
        driven(written)
    assert "s3cret" not in str(refused.value)
