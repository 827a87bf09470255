"""A short run of the random histories; `make storm` takes two thousand steps."""

from tests.histories import play


def test_a_short_history_is_as_the_model_says() -> None:
    everything = frozenset(
        {"agreed", "withdrawn", "sent: accepted", "sent: held", "restarted", "all at once"}
    )
    assert play(60, everything, first=4) >= 60
