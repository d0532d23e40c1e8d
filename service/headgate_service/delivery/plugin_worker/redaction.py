"""Takes a plugin's secrets out of what it prints and answers."""

from collections.abc import Iterable, Mapping
from typing import Any

from headgate.v1 import plugin_pb2
from headgate_sinks.sdk.secret import SecretMissing, read_secret

from headgate_service.delivery.plugin_worker.environment import texts_in

HIDDEN = "[secret]"
# What is shorter is no secret, and stands in every other word.
MIN_CHARACTERS = 4


class Redaction:
    """Knows the secrets of one process. Until the plugin was loaded, which tells what is secret in its configuration,
    all of it is."""

    def __init__(self, settings: Any = None, environment: Mapping[str, str] | None = None) -> None:
        self._secrets: list[str] = []
        self._references: set[str] = set()
        self._guessed = True
        self._learn(_read(text, environment or {}) for text in texts_in(settings))

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def clean(self, answer: plugin_pb2.PluginAnswer) -> None:
        """Learns the secrets of an answer, and takes all that are known out of its texts."""
        kind = answer.WhichOneof("answer")
        if self._guessed and kind == "description":
            self._secrets, self._guessed = [], False
        self._references.update(answer.references)
        self._learn(answer.secrets)
        del answer.secrets[:], answer.references[:]
        if kind == "broken":
            answer.broken.reason = self.hide(answer.broken.reason)
            answer.broken.details = self.hide(answer.broken.details)
        elif kind == "outcome":
            self._clean_outcome(answer.outcome)

    def _clean_outcome(self, outcome: plugin_pb2.SinkOutcome) -> None:
        kind = outcome.WhichOneof("outcome")
        if kind == "result":
            for reject in outcome.result.rejected:
                reject.code, reject.message = self.hide(reject.code), self.hide(reject.message)
        elif kind is not None:
            inner: Any = getattr(outcome, kind)
            inner.message = self.hide(inner.message)

    def _learn(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in (*self._secrets, *secrets) if len(secret) >= MIN_CHARACTERS}
        known -= self._references
        # As Python shows it, too; and the longest first, as one may be in another.
        shown = {repr(secret)[1:-1] for secret in known}
        self._secrets = sorted(known | shown, key=len, reverse=True)


def _read(text: str, environment: Mapping[str, str]) -> str:
    try:
        return read_secret(text, environment)
    except SecretMissing:
        return ""
