"""Each kind of value is built when the first one is read (schemas.envelope.Frozen): whole, whoever comes first."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

import agent
import schemas
from schemas.envelope import Frozen
from schemas.messages.asked import Block

ROUNDS, READERS = 40, 8


def kinds(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("base", [Frozen, Block])
def test_every_kind_of_value_can_be_built_and_refuses_what_it_is_not(base: type[BaseModel]) -> None:
    for package in (schemas, agent):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found = [kind for kind in set(kinds(base)) if kind.__module__.split(".")[0] != "tests"]
    assert len(found) > 40
    for kind in found:
        with pytest.raises(ValidationError):
            kind.model_validate_json(b"[]")


def test_a_process_that_read_no_message_has_built_no_form() -> None:
    """Built or not is most of what the forms hold of an idle agent's memory."""
    asked = "from schemas.messages.catalogue import FORMS; print([f for f in FORMS.values() if f.__pydantic_complete__])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_readers_that_come_first_together_all_read_what_is_written() -> None:
    """A reader that met a kind half built would take its parent's rules, and refuse a good message or let a bad one in."""
    wrong: list[str] = []

    def read(kind: type[Frozen], gate: threading.Barrier) -> None:
        gate.wait()
        try:
            value = kind.model_validate_json(b'{"inner":{"a":"x"},"n":3}')
            if value.model_dump() != {"inner": {"a": "x"}, "n": 3}:
                wrong.append(f"read {value!r}")
            kind.model_validate_json(b'{"inner":{"a":"x"},"n":"3"}')
            wrong.append("let a text pass for a number")
        except ValidationError as error:
            if [row["loc"] for row in error.errors()] != [("n",)]:
                wrong.append(str(error))
        except Exception as error:
            wrong.append(repr(error))

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(ROUNDS):
            inner = type("Inner", (Frozen,), {"__module__": __name__, "__annotations__": {"a": str}})
            kind = type(
                "Kind", (Frozen,), {"__module__": __name__, "__annotations__": {"inner": inner, "n": int}}
            )
            gate = threading.Barrier(READERS)
            readers = [threading.Thread(target=read, args=(kind, gate)) for _ in range(READERS)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
    finally:
        sys.setswitchinterval(switch)
    assert not wrong, wrong[:3]
