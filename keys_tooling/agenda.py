"""What is done at a ceremony, step by step: the text that is read aloud, in order."""

from __future__ import annotations

from keys_tooling.console import paragraphs

OPENING = paragraphs("""\
Everybody who is here knows everybody else, or has seen a document with a photograph.

No telephone, camera or watch that records is in the room, and nobody can look in.

The machine has no network, was started from a medium that somebody brought sealed, and its clock is right.""")
CLOSING = paragraphs("""\
Files and pages that are not needed any more are destroyed; nothing secret stays on the machine.

Each part is in its envelope, signed over the flap, and each of us knows where hers goes and who may ask for it.""")
AGENDA = {
    "founding": paragraphs("""\
The keys were made here: fenpost-keys partnership init, or agency init.

The ids of the root keys and of the next root keys are read aloud from the screen, and each of us has compared them.

roots.fpk and next-roots.fpk are on two different media, for two different places, with passphrases that no one person
knows."""),
    "recovery": paragraphs("""\
We have asked each other what happened and since when, and have written it down.

The next root keys were brought from their safe; the seal of their envelope was whole.

The plan of fenpost-keys recover op was read aloud, with what it undoes, before anybody agreed to it.

The new operational key and the new next root keys are on two different media.

The old root keys, and every copy of the old operational key, were destroyed."""),
    "shares": paragraphs("""\
The backup was made here: fenpost-keys backup, and each page was printed alone.

Each holder compared her page with the screen word by word, and nobody else saw it.

The backup was opened once with as many shares as it needs, taken from different holders, and fitted."""),
}


def steps(kind: str) -> tuple[str, ...]:
    """Every step of a ceremony of this kind, opening and closing among them."""
    return (*OPENING, *AGENDA[kind], *CLOSING)
