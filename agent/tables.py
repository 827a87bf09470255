"""What an agent keeps, as tables. All of it lies in one SQLCipher file, so names and subjects are encrypted too.

Rules of this house:
- a row that somebody was told about is written before they are told;
- words of a message stand in `outbox.draft` and `inbox.message` only, and leave when they are no longer needed.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA = "1"
metadata = MetaData()

kv = Table(
    "kv",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)
policies = Table(
    "policies",
    metadata,
    Column("digest", String, primary_key=True),
    Column("text", Text, nullable=False),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", String, primary_key=True),  # the first mid, which is what the caller was given
    Column("key", String, unique=True),  # the caller's idempotency key
    Column("asked", String),  # hash of what was asked under that key
    Column("kind", String, nullable=False),
    Column("rag", String, nullable=False),
    Column("thr", String, nullable=False),
    Column("gid", String),
    Column("agreement", String, index=True),
    Column("ts", Integer, nullable=False),
    Column("draft", Text),  # wiped when every desk has ended
)
sealings = Table(
    "sealings",
    metadata,
    Column("eid", String, primary_key=True),
    Column("id", String, nullable=False, index=True),
    Column("mid", String, nullable=False, index=True),
    Column("turn", Integer, nullable=False),
    Column("desks", Text, nullable=False),  # JSON: [[agency, desk], ...]
    Column(
        "numbers", Text, nullable=False, default="[]"
    ),  # JSON: the running number of each of them, or nothing
    Column("rank", Integer, nullable=False),  # 0 RED, 1 AMBER, 2 GREEN
    Column("gid", String),
    Column("ts", Integer, nullable=False, index=True),
    Column("exp", Integer, nullable=False),
    Column("header", Text),  # what a lead's signature is held against
    Column("due", Integer, nullable=False, default=0),  # it went, and the lead has still to sign
    Column("state", String, nullable=False),  # waiting, held, accepted, refused, stopped, expired, replaced
    Column("code", String),
    Column("say", Text),
    Column("upload", LargeBinary),
    Column("body", String, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False, default=0.0),
    Column("alert", Integer, nullable=False, default=0),
    Column("proof", Text),
    Column("record", Text),
    Column("rk", String),
    Index("sealings_due", "state", "next_at"),
)
ladder = Table(
    "ladder",
    metadata,
    Column("eid", String),
    Column("a", String),
    Column("d", String),
    Column("state", String),
    Column("ts", Integer, nullable=False),
    Column("role", String),
    Column("reason", String),
    Column("evidence", Text),
    Column("heard", Integer),  # when a signed step came: it may be dated back
    PrimaryKeyConstraint("eid", "a", "d", "state"),
)
inbox = Table(
    "inbox",
    metadata,
    Column("id", String, primary_key=True),
    Column("eid", String, nullable=False),
    Column("d", String, nullable=False),
    Column("mid", String, nullable=False, index=True),
    Column("thr", String, nullable=False, index=True),
    Column("from_a", String, nullable=False),
    Column("from_d", String, nullable=False),
    Column("cls", String, nullable=False),
    Column("rag", String, nullable=False),
    Column("gid", String, index=True),
    Column("ts", Integer, nullable=False, index=True),
    Column("exp", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("state", String, nullable=False),  # collected, opened, taken-on, rejected, withdrawn, expired
    Column("code", String),
    Column("delivery", LargeBinary),
    Column("override", Text),  # handed out beside it: the override under which the relay released it
    Column("header", Text, nullable=False),
    Column("body", String, nullable=False),
    Column("number", Integer),  # the sender's running number, known once it is open
    Column("message", Text),
    Column("alert", Integer, nullable=False, default=0),
    Column("recorded", Integer, nullable=False, default=0),  # the relay has logged our `collected`
    Column(
        "late", Integer, nullable=False, default=0
    ),  # it knew before our fetch that its agreement had ended
    Column("alone", Integer, nullable=False, default=0),  # the rule lets it pass without its agreement
    Column("unproven", Integer, nullable=False, default=0),  # or with nobody's word that it still stands
    Column("unsure", Integer),  # since when it waits for that word
    Column("denied", Integer),  # since when the relay says that it is over, and shows nothing for it
    Column("handed", Integer),
    Column("withdrawn", Integer),  # when the agreement was withdrawn, after we had shown it
    Column(
        "limited", Integer
    ),  # when we heard that the agreement leaves it out by now, after we had shown it
    Column("recalled", Integer, index=True),  # 0 while the case system is still to be told of it
    Column("role", String),
    Column("reason", String),
    Column("subject", String, index=True),  # keyed hash of our own reference, given while taking it on
    UniqueConstraint("eid", "d"),
    # What ended is most of it, and then what waits for somebody here: nobody asks for either at each poll.
    Index("inbox_open", "state", "handed", "received"),
    Index("inbox_from", "from_a", "ts"),  # of an agency whose key was in other hands, what it sent since then
)
receipts = Table(
    "receipts",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("eid", String, nullable=False),
    Column("d", String, nullable=False),
    Column("state", String, nullable=False),
    Column("sig", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("posted", Integer, nullable=False, default=0),
    Column("code", String),
    Column("proof", Text),  # the log's, and the relay's record with its key: what we can show later
    Column("record", Text),
    Column("rk", String),
    UniqueConstraint("eid", "d", "state"),
    Index("receipts_waiting", "posted", "n"),
)
seen = Table(
    "seen",
    metadata,
    Column("eid", String),
    Column("d", String),
    Column("from_a", String, nullable=False),
    Column("mid", String, nullable=False),
    Column("until", Integer, nullable=False),
    PrimaryKeyConstraint("eid", "d"),
    Index("seen_mid", "from_a", "mid"),
)
grants = Table(
    "grants",
    metadata,
    Column("gid", String, primary_key=True),
    Column("mine", Integer, nullable=False),
    Column("exp", Integer, nullable=False),
    Column("grant_s", Text, nullable=False),
    Column("grant_t", Text, nullable=False),
    Column("status_s", Text),
    Column("status_t", Text),
    Column("status_ts", Integer),
    Column("withdrawal_s", Text),
    Column("withdrawal_t", Text),
    Column(
        "withdrawn_ts", Integer
    ),  # when it was said: what we end ourselves may have to be signed again, later
    Column("heard", Integer, index=True),  # the relay knew of its end, or that it holds less: in which order
    Column("agree_by", String),
    Column("evidence", Text),
    Column("salt", String),
    Column("agreement", String, index=True),  # of an agreement made here: whose handle it is
    Column("purpose", String),
    Column("rest", Integer),  # with fewer seconds left than this, the next message gets a new handle
)
withdrawals = Table(
    "withdrawals",  # of agreements that are not known here yet: their message may still be on its way
    metadata,
    Column("gid", String),
    Column("a", String),  # who signed it
    Column("sig", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("ts", Integer, nullable=False),
    Column("heard", Integer, nullable=False, index=True),
    PrimaryKeyConstraint("gid", "a"),
)
agreements = Table(
    "agreements",  # what a person said, as this agency holds it; its id never leaves
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("ver", Integer, nullable=False),
    Column("since", Integer, nullable=False),
    Column("until", Integer),
    Column("ask_again_after", Integer),
    Column("review_on", Integer),
    Column("mark", String, nullable=False),
    Column("answer", Integer, nullable=False),  # the version in which the scope was last agreed
    Column("scope", Text),  # JSON: what was agreed and how it was asked
    Column(
        "stopped", Text, nullable=False, default="[]"
    ),  # JSON: agencies that were told to stop, not settled yet
    Column("prompted", Integer),
)
answers = Table(
    "answers",  # every version of an agreement, with what was said
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, index=True),
    Column("ver", Integer, nullable=False),
    Column("act", String, nullable=False),
    Column("ts", Integer, nullable=False),
    Column("said", Text, nullable=False),
)
recalls = Table(
    "recalls",  # who owes an answer about a withdrawn handle: this agency, or another
    metadata,
    Column("gid", String),
    Column("a", String),
    Column("by", String, nullable=False),
    Column("wd", String, nullable=False),
    Column("told", Integer, nullable=False),
    Column("sig", String),
    Column("text", Text),
    PrimaryKeyConstraint("gid", "a"),
)
overrides = Table(
    "overrides",
    metadata,
    Column("oid", String, primary_key=True),
    Column("mid", String, index=True),
    Column("thr", String),
    Column("state", String, nullable=False, index=True),  # drafted, asked, authorised, recorded, refused
    Column("core", Text, nullable=False),
    Column("request_s", String),
    Column("signed_t", Text),
    Column("signed_s", String),
    Column("record", Text, nullable=False),  # the reason, sealed to officers
    Column("reason", Text),  # for the lead to read; wiped when it has served
    Column("ts", Integer, nullable=False),
    Column("exp", Integer, nullable=False),
    Column("posted", Integer, nullable=False),
    Column("code", String),
)
bells = Table(
    "bells",  # what was told about holds, overrides and emergencies
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("ts", Integer, nullable=False),
    Column("heard", Integer, nullable=False),
    Column("mid", String),
    Column("a", String, nullable=False),
    Column("d", String),
)
posts = Table(
    "posts",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False),
    Column("gid", String, nullable=False, index=True),
    Column("sig", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("posted", Integer, nullable=False, default=0),
    Column("code", String),
    Column("stopped", Integer, nullable=False, default=0),
    Column("record", Text),  # sealed to officers, where the statement has one
    Index("posts_waiting", "posted", "n"),
)
undisclosed = Table(
    "undisclosed",  # decisions not to share, with their words, which stay here
    metadata,
    Column("nid", String, primary_key=True),
    Column("ts", Integer, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("review", Integer, nullable=False),
    Column("words", Text, nullable=False),
)
journal = Table(
    "journal",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("ts", Integer, nullable=False),
    Column("event", String, nullable=False),
    Column("code", String, nullable=False),
    Column("eid", String),
)
shares = Table(
    "shares",  # what was sent, as codes: kept when the words of a message have left
    metadata,
    Column("id", String, primary_key=True),  # the outbox's
    Column("subject", String, nullable=False, index=True),
    Column("thr", String, nullable=False, index=True),
    Column("ts", Integer, nullable=False),
    Column("about", String, nullable=False),  # adult, child, unknown
    Column("desks", Text, nullable=False),  # JSON: [[agency, desk], ...]
    Column("pur", String, nullable=False),
    Column("cat", Text, nullable=False),
    Column("law", Text, nullable=False),
    Column("overridden", Integer, nullable=False),
    Column("gid", String),
)
reviews = Table(
    "reviews",  # whether the person may be told of a message that was kept from her statement
    metadata,
    Column("id", String, primary_key=True),  # of a share, or of an item of the inbox
    Column("ts", Integer, nullable=False),
    Column("safe", Integer, nullable=False),
    Column("role", String, nullable=False),
    Column("again", Integer),
)
tellings = Table(
    "tellings",  # that a statement was made, never what stood in it
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("ts", Integer, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("shown", Integer, nullable=False),
)
pairs = Table(
    "pairs",
    metadata,
    Column("a", String, primary_key=True),
    Column("sent", Integer, nullable=False),
    Column("got", Integer, nullable=False),
)
absent = Table(  # running numbers that did not come, although a later one did
    "absent",
    metadata,
    Column("a", String),
    Column("n", Integer),
    Column("since", Integer, nullable=False),
    PrimaryKeyConstraint("a", "n"),
)
reports = Table(  # what another agency wrote of a day
    "reports",
    metadata,
    Column("a", String),
    Column("day", Integer),  # days since 1970
    Column("part", Integer),
    Column("text", Text, nullable=False),
    Column("came", Integer, nullable=False),
    Column("fault", String, nullable=False),  # "", "twice", "early"
    PrimaryKeyConstraint("a", "day", "part"),
)
days = Table(  # what we wrote of a day
    "days",
    metadata,
    Column("a", String),
    Column("day", Integer),
    Column("made", Integer, nullable=False),
    Column("tallies", Text, nullable=False),
    PrimaryKeyConstraint("a", "day"),
)
findings = Table(  # what the two lists do not agree in, or what stands open in both
    "findings",
    metadata,
    Column("a", String),
    Column("day", Integer),  # 0 for what belongs to no day
    Column("kind", String),
    Column("sender", String),
    Column("eid", String),
    Column("d", String),
    Column("n", Integer),
    Column("sent", String, nullable=False),
    Column("got", String, nullable=False),
    Column("since", Integer, nullable=False),
    Column("settled", Integer),
    PrimaryKeyConstraint("a", "day", "kind", "sender", "eid", "d", "n"),
)
