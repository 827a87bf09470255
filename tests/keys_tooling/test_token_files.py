"""Key files that name a token: what is malformed is refused, and what a token can say has a sentence.

Whether a real one signs is for tests/interop/test_tokens.py, which needs SoftHSM2.
"""

import sys

import pkcs11.exceptions
import pytest

from agent.tokens import SAYS, Tokens
from schemas.errors import Refusal
from schemas.keyring import PolicyKey
from schemas.keys import SigningKey
from schemas.token_place import TokenKey, TokenPlace

PLACE = TokenPlace("module", "label", "serial", "00", SigningKey(bytes(32)).public)


def test_a_place_comes_back_as_it_was_written_and_signs_nothing_without_a_token():
    key = PolicyKey.from_json(PolicyKey(TokenKey(PLACE), "policy-1").to_json()).key
    assert key == TokenKey(PLACE)
    assert key.kid == SigningKey(bytes(32)).kid
    with pytest.raises(Refusal, match="TOKEN: This key is on a token"):
        key.sign_bytes(b"words")


@pytest.mark.parametrize(
    "change",
    [{"id": 5}, {"module": None}, {"pub": "AAAA"}, {"more": "1"}, {"serial": "x" * 2000}, {"pub": "A" * 43}],
)
def test_a_malformed_place_is_refused(change: dict[str, object]):
    value = PLACE.to_json() | change
    with pytest.raises(Refusal, match="KEYFILE"):
        PolicyKey.from_json({"key": value, "person": "policy-1"})


def test_every_sentence_belongs_to_something_that_pkcs11_can_say():
    """SoftHSM never locks itself, and has no lid: for these the sentence is held against the library's list of errors."""
    known = {name for name in dir(pkcs11.exceptions) if not name.startswith("_")}
    assert set(SAYS) <= known
    assert {"PinLocked", "PinIncorrect", "DeviceRemoved", "TokenNotPresent"} <= set(SAYS)


def test_without_the_extra_it_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(Refusal, match="extra 'token'"):
        Tokens(lambda _label: "1234").sign(PLACE, b"words")
