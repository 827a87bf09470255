"""An id that begins with a hyphen, as one in 64 does, is typed like any other."""

import click
import pytest

from agent.console import Id as AgentsId
from keys_tooling.options import Id as KeysId
from tests.ground.test_secret_options import EVERY

TAKING = {
    path: (command, parameter)
    for path, command in EVERY
    for parameter in command.params
    if isinstance(parameter, AgentsId | KeysId)
}
OTHERS = {"agency", "desk", "version"}
"""Arguments that are no ids: names, and a number."""


def test_every_argument_that_is_no_file_is_an_id_or_known_to_be_none():
    found = {
        (path, parameter.name)
        for path, command in EVERY
        for parameter in command.params
        if isinstance(parameter, click.Argument) and not isinstance(parameter.type, click.Path | click.File)
    }
    assert {name for path, name in found if path not in TAKING} == OTHERS
    assert len(TAKING) > 12


@pytest.mark.parametrize("path", TAKING)
def test_an_id_that_begins_with_a_hyphen_is_read(path: str):
    command, parameter = TAKING[path]
    word = "-Mxyz_-4c8ZnTnO4o_reWS"
    context = click.Context(command)
    values, rest, _ = command.make_parser(context).parse_args([word])
    assert values[parameter.name] in (word, (word,))
    assert rest == []


def test_an_option_that_is_none_is_refused_all_the_same():
    command, _ = TAKING["fenpost-agent show"]
    with pytest.raises(click.UsageError):
        command.make_context("show", ["--jsonn", "4c8ZnTnO4o_reWSk0EejMg"])
