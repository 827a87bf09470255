"""A desk that was closed is still asked about: what left it, and what was lost there."""

from pathlib import Path

import pytest

from keys_tooling.audit.report.making import Asked, _scope
from keys_tooling.audit.told import Place
from schemas.errors import Refusal
from tests.policy_world import own_chain
from tests.simulated_world import DESK, FLAGS, World


def test_a_breach_of_a_desk_that_was_closed_since_can_be_reported(tmp_path: Path):
    """Closing it is what an agency does first."""
    world = World.found(tmp_path, "IDVAS")
    whose = world.parties["IDVAS"].id
    world.take(own_chain(world).admit(whose, "IDVAS", ("night",), FLAGS, world.now))
    for desk in (DESK, "night"):
        scope = _scope(Asked("breach", {"desk": f"IDVAS/{desk}"}), world.directory, world.now)
        assert scope.desk == Place(whose, desk)
    with pytest.raises(Refusal, match="UNKNOWN_DESK"):
        _scope(Asked("breach", {"desk": "IDVAS/intaek"}), world.directory, world.now)
