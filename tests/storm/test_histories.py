"""Two thousand random steps of agreements, messages, withdrawals and overrides find no difference from the model."""

from tests.histories import EVERYTHING, play


def test_two_thousand_steps_are_as_the_model_says() -> None:
    steps = play(2000, EVERYTHING)
    print(f"\n  {steps} steps of random histories, no difference from the model")
    assert steps >= 2000
