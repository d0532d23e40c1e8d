import pytest
from headgate_service.auth.passwords import valid_password
from headgate_service.errors import InvalidArgument


@pytest.mark.parametrize(
    "password",
    [
        "password123",
        "Password123!",
        "1234567890",
        "0987654321",
        "qwertyuiop",
        "Qwertyuiop1",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "Passw0rd Passw0rd ",
        "abcdefghijk",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44123",
        "ada.lovelace",
        "Ada.Lovelace1815",
        "ada.lovelace@example.com",
        "!!!iloveyou!!!",
        "letmein2026",
        "headgate2026",
    ],
)
def test_what_an_attacker_tries_first_is_refused(password: str):
    with pytest.raises(InvalidArgument, match="among the first that an attacker tries"):
        valid_password(password, "ada.lovelace@example.com")


@pytest.mark.parametrize(
    "password", ["a good password", "blue whale 7 lamps", "k3vq9dm2xw", "password of the tests", "8402957163 x"]
)
def test_others_are_taken(password: str):
    assert valid_password(password, "ada.lovelace@example.com") == password
