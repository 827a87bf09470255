"""fenpost-keys recover: what is done when something was lost. Each sub-command has its work in modules beside this."""

from __future__ import annotations

import click

from keys_tooling.backup_main import recover_shares


@click.group()
def recover() -> None:
    """Something was lost or is in wrong hands: shares on paper, the operational key, the agent's own keys.

    \b
    Example:
      fenpost-keys recover shares old.fpb --out new.fpb --shares new-shares --by-shares
    """


recover.add_command(recover_shares)
