"""The tables of what the directory says, and of the keys that stand in it in our own name (PROTOCOL.md K15, G15, G16).

They lie in the same file as all others (agent.tables).
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, String, Table, Text

from agent.tables import metadata

statements = Table(
    "statements",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("sig", String, nullable=False),
    Column("text", Text, nullable=False),
)
arriving = Table(  # statements that were read and are not believed yet
    "arriving",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("sig", String, nullable=False),
    Column("text", Text, nullable=False),
)
kept_view = Table(  # the view that the first of them give, in parts; kv has the hash of these
    "kept_view",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("part", LargeBinary, nullable=False),
)
own_statements = Table(  # our own chain and what oversight says of us, as far as this agent has read it
    "own_statements",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),  # the place in the directory's log
    Column("hash", String, nullable=False),
    Column("op", String, nullable=False),
    Column("ts", Integer, nullable=False),
    Column("detail", String, nullable=False),
    Column("known", Integer, nullable=False),  # made or held here, or somebody said that it is right
    Column("grave", Integer, nullable=False),
    Column("seen", Integer),  # when somebody said so
)
posted_statements = Table(  # directory statements that this agent made
    "posted_statements",
    metadata,
    Column("hash", String, primary_key=True),
    Column("ts", Integer, nullable=False),
)
own_keys = Table(  # running keys that this agent made; the first ones stand in its key file
    "own_keys",
    metadata,
    Column("kid", String, primary_key=True),
    Column("use", String, nullable=False),
    Column("seed", LargeBinary, nullable=False),
    Column("nbf", Integer, nullable=False),
    Column("exp", Integer, nullable=False),
    Column("published", Integer),  # when the relay had taken it
    Column("since", Integer),  # when it may sign
)
old_sealers = Table(  # agencies that sealed to a receiving key although a newer one was there to be known
    "old_sealers",
    metadata,
    Column("a", String, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last", Integer, nullable=False),
)
verified = Table(  # agencies whose safety number somebody compared
    "verified",
    metadata,
    Column("agency", String, primary_key=True),
    Column("number", String, nullable=False),
    Column("name", String, nullable=False),
    Column("who", String, nullable=False),  # a role, never a name
    Column("how", String, nullable=False),
    Column("ts", Integer, nullable=False),
)
