"""Garbage collection in a process that lives long."""

import gc


def freeze_gc() -> None:
    """Keeps what lives until now out of garbage collection: it lives for ever, and to look at it again in every
    collection costs more than all the rest of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
