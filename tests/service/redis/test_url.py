import pytest
from headgate_service.control_db.database import DatabaseUrlInvalid, driven
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.url import check_redis_url


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://:s3cret@h?foo=s3cret", "not known: foo"),
        ("redis://h?decode_responses=yes", "not known: decode_responses"),
        ("redis://h?socket_timeout=1", "not known: socket_timeout"),
        ("redis://h?ssl_ca_certs=/ca.pem", "needs rediss://"),
        ("redis+sentinel://a,b", "must begin with"),
        ("http://h", "must begin with"),
        ("h:6379", "must begin with"),
        ("redis://h:port", "is not a URL"),
        ("redis://:s3#cret@h", "%23"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url, fault):
    with pytest.raises(ValueError, match=fault) as refused:
        RedisPipeline(url)
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://:p@h:6380/1",
        "unix:///run/redis.sock?db=1&password=p",
        "rediss://u:p@h:6380?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required&ssl_check_hostname=true&client_name=x",
    ],
)
async def test_others_are_taken(url):
    assert check_redis_url(url) == url
    await RedisPipeline(url).close()


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@h/d?foo=s3cret", "sqlite:////x/control.db?foo=1"])
def test_so_is_one_of_a_control_db(url):
    with pytest.raises(DatabaseUrlInvalid, match="not known: foo") as refused:
        driven(url)
    assert "s3" not in str(refused.value)


def test_arguments_of_postgresql_are_taken():
    assert driven("postgresql://h/d?prepared_statement_cache_size=0&ssl=require").endswith("ssl=require")
