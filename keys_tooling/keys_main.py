"""fenpost-keys: what an administrator types. Each group of commands has a module of its own beside this one."""

from __future__ import annotations

import secrets
import time

import click

from keys_tooling.agency_main import agency
from keys_tooling.backup_main import backup
from keys_tooling.changing_main import resume, revoke, rotate
from keys_tooling.check_main import check
from keys_tooling.console import World, run
from keys_tooling.emergency_main import emergency
from keys_tooling.invites_main import invite
from keys_tooling.minutes_main import ceremony
from keys_tooling.officers_main import officer
from keys_tooling.partnership_main import partnership
from keys_tooling.passphrase_main import passphrase
from keys_tooling.policy_main import policy
from keys_tooling.recover_main import recover
from keys_tooling.restore_main import restore
from keys_tooling.roles_main import role
from keys_tooling.token_main import token
from keys_tooling.token_pins import PIN_FILE


def main() -> None:
    """The program's entrance."""
    run(keys, World(time.time, secrets.token_bytes))


@click.group()
@PIN_FILE
@click.version_option(package_name="fenpost", message="%(version)s")
def keys() -> None:
    """Make a partnership, make an agency's keys, and take agencies in.

    Every secret goes into a new file that only you may read, and none is ever overwritten.

    \b
    Example:
      fenpost-keys agency init --dir peacock --name "The Peacock Project" --desk referrals \\
        --officer officer.json --partnership partnership.json
    """


for group in (partnership, invite, agency, officer, role, policy, rotate, revoke, emergency, resume):
    keys.add_command(group)
for command in (backup, restore, recover, passphrase, check, token, ceremony):
    keys.add_command(command)
