"""`fenpost-audit query`: a command for each of the thirty questions."""

from __future__ import annotations

from typing import Any

import click

from keys_tooling.audit.progress import progress_bar
from keys_tooling.audit.purpose import Occasion, purposed
from keys_tooling.console import World, width
from keys_tooling.options import JSON


class Questions(click.Group):
    """The questions as commands, made from the catalogue when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        from keys_tooling.audit.queries.catalogue import QUESTIONS

        return ["list", *(question.name for question in QUESTIONS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from keys_tooling.audit.queries.catalogue import BY_NAME

        if cmd_name == "list":
            return super().get_command(ctx, cmd_name)
        return _command(BY_NAME[cmd_name]) if cmd_name in BY_NAME else None


@click.group(cls=Questions)
def query() -> None:
    """Ask one of the thirty questions of your entries. That you did is logged before anything is shown.

    \b
    Example:
      fenpost-audit query list
      fenpost-audit query sent-to --dir officer --agency "Peterborough IDVAS" --since 2026-11-01 --csv
    """


@query.command("list")
@JSON
def query_list(as_json: bool) -> None:
    """List the questions and their parameters."""
    from keys_tooling.audit.queries.catalogue import QUESTIONS
    from keys_tooling.console import report

    facts = [
        {
            "asks": one.asks,
            "name": one.name,
            "number": one.number,
            "params": [{"name": p.name, "needed": p.needed, "says": p.says} for p in one.params],
        }
        for one in QUESTIONS
    ]
    width = max(len(one.name) for one in QUESTIONS)
    text = "\n".join(f"{one.number:2}  {one.name:{width}}  {one.asks}" for one in QUESTIONS)
    report({"questions": facts}, text, as_json=as_json)


def _command(question: Any) -> click.Command:
    @purposed
    @click.pass_obj
    def run(
        world: World,
        /,
        at: Occasion,
        as_json: bool,
        as_csv: bool,
        **given: str | None,
    ) -> None:
        from keys_tooling.audit import query as asking

        if as_json and as_csv:
            raise click.UsageError("Choose one: --json or --csv.")
        session = at.session(world)
        size = session.size()
        with progress_bar("Entries") as progress:
            answer = asking.ask(question, given, session, at.purpose, lambda n: progress(n, size))
        if as_json:
            click.echo(asking.as_json(question, answer))
        elif as_csv:
            click.echo(asking.as_csv(answer), nl=False)
        else:
            click.echo(asking.as_text(question, answer, width()))

    params = [
        click.Option([f"--{p.name.replace('_', '-')}", p.name], help=p.says, metavar=_metavar(p.kind))
        for p in question.params
    ]
    for option in (click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV."), JSON):
        run = option(run)
    return click.command(question.name, help=f"{question.asks}.", params=list(params))(run)


def _metavar(kind: str) -> str:
    return {"time": "TIME", "number": "N", "local": "FILE", "roster": "FILE", "agency": "AGENCY"}.get(
        kind, "TEXT"
    )
