from headgate_service.directory.directory import TokenBucket


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    now = 100.0
    bucket = TokenBucket(per_second=2, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now += 60
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
