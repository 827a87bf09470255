"""What every party must agree on: formats, rules and checks, as pure functions and frozen values."""
