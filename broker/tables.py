"""Every table of the relay's store. Portable SQL; times are Unix seconds, UTC.

What a stolen store says is what stands here, so the less the better:
- envelopes and deliveries are gone as soon as every desk has ended; notices when they are acknowledged;
- `seen` holds only hashes: request nonces, envelope ids, message ids, events; each until its date, or hours longer;
- the log holds leaves, sealed records and wrapped epoch keys, none of which the relay can open.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
Hash = LargeBinary(32)
Agency = String(40)
Desk = String(32)
Id = String(22)

seen = Table(
    "seen",
    metadata,
    Column("key", Hash, primary_key=True),
    Column("idx", BigInteger),  # the leaf, for what has one
    Column("until", BigInteger, nullable=False),  # no index: what is over is found as broker.slices does
    sqlite_with_rowid=False,
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("eid", Hash, primary_key=True),
    Column(
        "front", LargeBinary, nullable=False
    ),  # magic, header, wrap manifest, body, signature, as received
    Column("record", LargeBinary, nullable=False),  # the sender's sealed record
    Column("proof", LargeBinary, nullable=False),  # tlog-proof text
    Column("body", Hash, nullable=False),
    Column("sender", Agency, nullable=False),
    Column("desk", Desk, nullable=False),
    Column("mid", Id, nullable=False),
    Column("gid", Id),
    Column("exp", BigInteger, nullable=False),
    Column("override", Text),  # of one that waited for a lead: the override under which it was released
    Index(None, "gid"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Number, primary_key=True),
    Column("eid", Hash, nullable=False),
    Column("agency", Agency, nullable=False),
    Column("desk", Desk, nullable=False),
    Column("state", String(12), nullable=False),
    Column("rank", SmallInteger, nullable=False),  # 0 RED, 1 AMBER, 2 GREEN
    Column("exp", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),  # bytes of the whole delivery
    Column("wrap", LargeBinary, nullable=False),  # emptied when this desk has ended
    UniqueConstraint("eid", "agency", "desk"),
    Index(None, "agency", "state", "rank", "id"),
    Index(None, "exp"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("oid", Id, primary_key=True),
    Column("agency", Agency, nullable=False),
    Column("core", String(43), nullable=False),  # what a header's `ovr` names
    Column("mid", Id),
    Column("text", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index(None, "agency", "core"),
    Index(None, "agency", "mid"),
    Index(None, "until"),
)

holds = Table(  # messages that wait for a lead
    "holds",
    metadata,
    Column("eid", Hash, primary_key=True),
    Column("agency", Agency, nullable=False),
    Column("mid", Id, nullable=False),
    Column("lapse", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),  # when to look at it again
    Column("every", BigInteger),  # of a RED: how often its leads are told again
    Column("loud", BigInteger),  # of a RED: from when on oversight is told too
    Index(None, "agency", "mid"),
    Index(None, "next"),
)

dues = Table(  # messages that went, and whose lead has still to sign
    "dues",
    metadata,
    Column("eid", Hash, primary_key=True),
    Column("agency", Agency, nullable=False),
    Column("mid", Id, nullable=False),
    Column("claims", LargeBinary, nullable=False),  # what her signature is held against
    Column("next", BigInteger, nullable=False),
    Column("told", Integer, nullable=False),
    Index(None, "agency", "mid"),
    Index(None, "next"),
)

inquiries = Table(  # requests for information that went through, as hashes of who asked whom
    "inquiries",
    metadata,
    Column("mark", Hash, primary_key=True),
    Column("asks", Text, nullable=False),  # JSON: the categories that an answer may hold
    Column("ts", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index(None, "until"),
)

missed = Table(  # agencies at which a lead's signature was missing once
    "missed",
    metadata,
    Column("agency", Agency, primary_key=True),
    Column("since", BigInteger, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("id", BigInteger, nullable=False, unique=True),  # random: a running number would tell the volume
    Column("agency", Agency, nullable=False),
    Column("said", Text, nullable=False),  # the notice as JSON
    Column("ts", BigInteger, nullable=False),
    Index(None, "agency", "seq"),
)

grants = Table(
    "grants",
    metadata,
    Column("gid", Id, primary_key=True),
    Column("text", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    Column("withdrawn_text", LargeBinary),
    Column("withdrawn_sig", LargeBinary),
    Column("until", BigInteger, nullable=False),
    Index(None, "until"),
)

recalls = Table(
    "recalls",
    metadata,
    Column("gid", Id, primary_key=True),
    Column("agency", Agency, primary_key=True),
    Column("told", BigInteger, nullable=False),
    Column("text", LargeBinary),  # the agency's answer, once there is one
    Column("sig", LargeBinary),
    Index(None, "told"),
)

statuses = Table(
    "statuses",
    metadata,
    Column("hash", String(43), primary_key=True),
    Column("gid", Id, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("exp", BigInteger, nullable=False),
    Index(None, "gid"),
    Index(None, "exp"),
)

statements = Table(
    "statements",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("agency", Agency, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("sig", LargeBinary, nullable=False),
    UniqueConstraint("agency", "seq"),
)

policies = Table(
    "policies",
    metadata,
    Column("digest", String(43), primary_key=True),
    Column("text", LargeBinary, nullable=False),
)

heads = Table(
    "heads",
    metadata,
    Column("name", String(16), primary_key=True),  # "log", "keys", and the boards' (broker.witnesses)
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),  # the signed checkpoint
)

leaves = Table(
    "leaves",
    metadata,
    Column("idx", Number, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary(97), nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("idx", Number, primary_key=True, autoincrement=False),
    Column("relay", LargeBinary, nullable=False),  # empty once it was deleted (Y5)
    Column("sender", LargeBinary, nullable=False),  # veiled, or empty
)

nodes = Table(
    "nodes",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),  # 8, 16, 24 ...: the edges of tiles
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Hash, nullable=False),
    sqlite_with_rowid=False,
)

invites = Table(  # invitations, and the enrolments that came with them until oversight fetches them
    "invites",
    metadata,
    Column("mark", Hash, primary_key=True),  # the hash of the invitation's public key
    Column("until", BigInteger, nullable=False),
    Column("taken", BigInteger),
    Column("text", LargeBinary),
    Index(None, "until"),
)

deletions = Table(  # lists of records that may go, each with its notice
    "deletions",
    metadata,
    Column("digest", String(43), primary_key=True),
    Column("text", LargeBinary, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),  # the entry to go on at; below 0: waits for holds, or done
    Column("held", BigInteger, nullable=False, default=0),
    Index(None, "due"),
)

keeps = Table(  # holds for reviews; neither column tells whose
    "keeps",
    metadata,
    Column("key", Hash, primary_key=True),
    Column("owner", Hash, nullable=False),
    Column("runs", Text, nullable=False),
)

days = Table(  # the log's size, once a day: which entries are at least how old
    "days",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index(None, "ts"),
)

instances = Table(  # runs of each agency's agent, as hashes (broker.instances)
    "instances",
    metadata,
    Column("agency", Agency, primary_key=True),
    Column("runs", Text, nullable=False),
    sqlite_with_rowid=False,
)

epochs = Table(
    "epochs",
    metadata,
    Column("n", Number, primary_key=True),
    Column("epoch", Hash, nullable=False),
    Column("agency", Agency, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("kid", String(43), nullable=False),
    Column("wrap", LargeBinary, nullable=False),
    Index(None, "agency", "first"),
)
