"""The texts by which people's sessions and tokens are shown, made and checked as keys are."""

from enum import StrEnum

from headgate_service.keys import RandomBytes, is_secret_text, make_secret_text


class SecretText(StrEnum):
    """What a text opens; the value is how it begins."""

    SESSION = "hgs_"
    CLI_ACCESS = "hgc_"
    CLI_ONCE = "hgt_"

    def make(self, random: RandomBytes) -> str:
        """A new one."""
        return make_secret_text(self.value, random)

    def fits(self, text: str) -> bool:
        """Whether Headgate may have made the text, which nothing was looked up for."""
        return is_secret_text(self.value, text)
