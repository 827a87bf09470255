"""The envelope vectors: whole messages, and one message done wrongly in every way that has a code."""

from collections.abc import Iterator

from schemas.envelope import Upload
from schemas.keys import SigningKey
from tests.tools.forge import PAYLOAD, Forged, b, forge, h, l32, text
from tests.tools.splices import changed
from tests.tools.vector_world import (
    ALDER,
    BIRCH,
    CEDAR,
    DAY,
    LOG_KEY,
    OVERSIGHT,
    STATEMENTS,
    T0,
    Keys,
    proven,
    seed,
)

THREE = ((BIRCH, "idva"), (BIRCH, "duty"), (CEDAR, "housing"))
NOW = T0 + 120
L = 2**252 + 27742317777372353535851937790883648493


def delivered(made: Forged, position: int = 0, **how: object) -> bytes:
    return made.delivery(position, proven(made.leaf(), **how).to_bytes())


def valid() -> dict[str, Forged]:
    return {"one recipient": forge(), "three recipients": forge("three", THREE)}


def describe(name: str, made: Forged) -> dict[str, object]:
    """A valid vector: the upload, each delivery with the seed that opens it, and every value on the way."""
    desks = ((BIRCH, "idva"),) if len(made.to) == 1 else THREE
    return {
        "name": name,
        "upload": b(made.upload),
        "deliveries": [
            {
                "agency": keys.id,
                "desk": desk,
                "prekey_seed": b(seed(f"{keys.name} prekey")),
                "kid": keys.prekey.kid,
                "delivery": b(delivered(made, position)),
            }
            for position, (keys, desk) in enumerate(desks)
        ],
        "sender_msg_public": b(ALDER.msg.public),
        "mid": b(seed(f"{'one' if len(made.to) == 1 else 'three'} mid")[:16]),
        "hh": b(h("fenpost/v1/header", made.header)),
        "transcript": b(made.t),
        "eid": b(made.eid),
        "cek": b(made.cek),
        "rk": b(made.rk),
        "header": made.header.decode(),
        "inner": made.inner.decode(),
        "payload": PAYLOAD,
        "facts": made.facts.decode(),
    }


def bad_uploads(good: Forged) -> Iterator[tuple[str, bytes, str]]:
    """(what is wrong, bytes, code) of uploads that do not parse."""
    data = good.upload
    yield "the last byte is missing", data[:-1], "FORM"
    yield "a byte is left over", data + b"\0", "FORM"
    yield "nothing at all", b"", "FORM"
    yield "another magic", b"FPE2" + data[4:], "FORM"
    yield (
        "a header of more than 16 KiB is announced",
        b"FPE1\x00\x00\x40\x01" + data[8:],
        "TOO_BIG",
    )
    at = 4 + 4 + len(good.header) + 4 + len(good.wm)
    yield (
        "a body of more than 1 MiB is announced",
        data[:at] + b"\x00\x10\x00\x01" + data[at + 4 :],
        "TOO_BIG",
    )
    yield from bad_headers()
    yield "a byte after the manifest's last row", forge(wm=lambda wm: wm + b"\0").upload, "WRAPS"
    yield "a manifest without its last row", forge(wm=lambda wm: wm[:-64]).upload, "WRAPS"
    yield "a manifest that names another key", forge(wm=lambda wm: bytes(32) + wm[32:]).upload, "WRAPS"
    swapped = forge(
        "three", THREE, wm=lambda wm: wm[:64] + wm[128:] + wm[64:128], wraps=lambda w: [w[0], w[2], w[1]]
    )
    yield "a manifest whose wraps are in another order", swapped.upload, "WRAPS"
    yield "a wrap that is not the manifest's", forge(wraps=lambda w: [w[0][:-1] + b"\0"]).upload, "WRAPS"
    other = forge("other")
    yield (
        "another message's record",
        forge(record=lambda _: other.record, header=_ar(good.record)).upload,
        "RECORD",
    )


def _ar(record: bytes):
    return lambda header: {**header, "ar": b(h("fenpost/v1/rec", record))}


def bad_headers() -> Iterator[tuple[str, bytes, str]]:
    def with_(**fields: object):
        return lambda header: {**header, **fields}

    def bytes_(edit):
        return forge(header_bytes=lambda header: edit(text(header))).upload

    yield "a space in the header", bytes_(lambda t: t.replace(b":", b": ", 1)), "NOT_CANONICAL"
    yield "members in another order", bytes_(lambda t: t[:-7] + b',"ts":1,"a":1}'), "FORM"
    yield (
        "a letter written as an escape",
        bytes_(lambda t: t.replace(b'"AMBER"', b'"\\u0041MBER"')),
        "NOT_CANONICAL",
    )
    yield "a member twice", bytes_(lambda t: b'{"ar":"x",' + t[1:]), "FORM"
    yield "a time with an exponent", bytes_(lambda t: t.replace(str(T0 + 60).encode(), b"18e8")), "FORM"
    yield "UTF-16", bytes_(lambda t: t.decode().encode("utf-16")), "FORM"
    yield "version 0", forge(header=with_(v=0)).upload, "VERSION"
    yield "version 2", forge(header=with_(v=2)).upload, "VERSION"
    yield "version true", forge(header=with_(v=True)).upload, "FORM"
    yield "an attachment", forge(header=with_(att=[{"h": "x", "n": 1}])).upload, "ATTACHMENTS"
    yield "a member that nobody knows", forge(header=with_(cc=[])).upload, "FORM"
    yield "no thread", forge(header=lambda head: {k: v for k, v in head.items() if k != "thr"}).upload, "FORM"
    yield "a class of no list", forge(header=with_(cls="ARREST")).upload, "FORM"
    yield "a purpose that is no code", forge(header=with_(pur="immigration")).upload, "FORM"
    yield "a desk in capitals", forge(header=with_(**{"from": {"a": ALDER.id, "d": "Duty"}})).upload, "FORM"
    yield "an id with unused bits set", forge(header=with_(thr="A" * 21 + "B")).upload, "FORM"
    yield "longer than 14 days", forge(header=with_(exp=T0 + 61 + 14 * DAY)).upload, "FORM"
    yield "expires when it was sealed", forge(header=with_(exp=T0 + 60)).upload, "FORM"
    yield "categories out of order", forge(header=with_(cat=["person", "ask"])).upload, "FORM"
    yield "a category of no list", forge(header=with_(cat=["secrets"])).upload, "FORM"
    yield "an agreement without its status", forge(header=with_(st=None)).upload, "FORM"
    yield "a desk that stands twice", forge("three", (THREE[0], THREE[0])).upload, "FORM"
    yield "nobody to receive it", forge(header=with_(to=[])).upload, "FORM"
    yield "a told-by date without a told code for it", forge(header=_law(told_by=T0)).upload, "FORM"
    yield "a law block without one of its members", forge(header=_law(spec=None)).upload, "FORM"


def _law(**fields: object):
    return lambda header: {**header, "law": {**header["law"], **fields}}


def bad_deliveries(good: Forged) -> Iterator[tuple[str, bytes, str, Keys, int]]:
    """(what is wrong, bytes, code, who receives, when) of deliveries that parse and fail a recipient rule."""

    def one(
        what: str,
        code: str,
        *,
        by: Keys = BIRCH,
        now: int = NOW,
        position: int = 0,
        to=THREE[:1],
        **steps: object,
    ):
        return what, delivered(forge("one", to, **steps), position), code, by, now

    def inner(**fields: object):
        return lambda value: {**value, **fields}

    def facts(**fields: object):
        return lambda value: {**value, **fields}

    flip = lambda data: data[:-1] + bytes([data[-1] ^ 1])  # noqa: E731
    yield one("a bit of the signature is turned", "SIGNATURE", sig=flip)
    yield one("the signature's scalar is not reduced (S + L)", "SIGNATURE", sig=_plus_order)
    yield one("signed by another agency's key", "SIGNATURE", signer=BIRCH.msg)
    yield one(
        "signed with the key for requests", "UNKNOWN_KEY", signer=ALDER.auth, header=_signer(ALDER.auth)
    )
    yield one(
        "names another agency's key as signer", "UNKNOWN_KEY", signer=BIRCH.msg, header=_signer(BIRCH.msg)
    )
    yield one("names a desk that the sender does not have", "UNKNOWN_DESK", header=_from(ALDER.id, "night"))
    yield one("from an agency that is no member", "UNKNOWN_AGENCY", header=_from(OVERSIGHT.id, "duty"))
    yield one("sealed before the signer's first day", "STALE_KEY", header=_times(T0 - 600, T0 + DAY))
    yield one("opened by somebody to whom it is not", "NOT_FOR_US", by=CEDAR)
    three = forge("three", THREE)
    mixed = three.envelope + three.wraps[2] + l32(three.record) + l32(proven(three.leaf()).to_bytes())
    yield "comes with another recipient's wrap", mixed, "WRAPS", BIRCH, NOW
    yield "too late", delivered(good), "EXPIRED", BIRCH, T0 + 2 * DAY + 1
    yield "dated ahead", delivered(good), "FUTURE", BIRCH, T0 + 60 - 301
    yield (
        "the proof is of another leaf",
        good.delivery(0, proven(three.leaf()).to_bytes()),
        "PROOF",
        BIRCH,
        NOW,
    )
    own = SigningKey(seed("not the log"))
    yield "the checkpoint is signed by nobody we know", delivered(good, key=own), "CHECKPOINT", BIRCH, NOW
    yield "there is no proof", good.delivery(0, b""), "PROOF", BIRCH, NOW
    yield one(
        "the key in the wrap is not the committed one", "COMMITMENT", wrapped=lambda _: seed("another key")
    )
    yield one("the wrap is bound to something else", "CANNOT_OPEN", info=b"fenpost/v1/wrap\x01")
    yield one("the body does not open", "CANNOT_OPEN", body=flip)
    yield one("a byte of the padding is not zero", "PADDING", pad=lambda m: flip(_padded(m, 4096)))
    yield one("the padding is a bucket too large", "PADDING", pad=lambda m: _padded(m, 8192))
    yield one("the length points past the end", "PADDING", pad=lambda m: b"\xff" * 4 + _padded(m, 4096)[4:])
    yield one("the inner message has a member more", "FORM", inner=inner(x=1))
    yield one(
        "the inner message is not canonical",
        "NOT_CANONICAL",
        inner_bytes=lambda v: text(v).replace(b":", b": ", 1),
    )
    yield one("five checkpoints", "FORM", inner=inner(cp=[""] * 5))
    yield one("running numbers for others than the recipients", "FORM", inner=inner(seq=[1, 2]))
    yield one("a running number of nought", "FORM", inner=inner(seq=[0]))
    yield one("an attachment inside", "FORM", inner=inner(att=[{}]))
    yield one("a key that does not open the record", "RECORD", inner=inner(rk=b(seed("another key"))))
    yield one("a record of the relay's kind", "RECORD", record=_as_epoch)
    yield one("a record that is cut off", "RECORD", record=lambda r: r[:-1])
    for name, value in (
        ("ph", b(h("fenpost/v1/payload", b"something else"))), ("pur", "CRIME"), ("cat", ["ask"]), ("mid", "A" * 22),
        ("from", {"a": ALDER.id, "d": "night"}), ("to", []), ("v", 2), ("att", ["x"]), ("author", None),
        ("basis", {"b6": "6f", "b9": None, "gw": [], "s1": []}),
    ):  # fmt: skip
        yield one(f"the record says another {name}", "RECORD_DIFFERS", facts=facts(**{name: value}))
    yield one("the record says more than it may", "RECORD_DIFFERS", facts=facts(more=1))


def _padded(message: bytes, room: int) -> bytes:
    return (l32(message) + bytes(room))[:room]


def _signer(key: SigningKey):
    return lambda header: {**header, "signer": key.kid}


def _from(agency: str, desk: str):
    return lambda header: {**header, "from": {"a": agency, "d": desk}}


def _times(ts: int, exp: int):
    return lambda header: {**header, "ts": ts, "exp": exp}


def _plus_order(signature: bytes) -> bytes:
    scalar = int.from_bytes(signature[32:], "little") + L
    return signature[:32] + scalar.to_bytes(32, "little")


def _as_epoch(record: bytes) -> bytes:
    """The same facts in a record of the relay's kind: no officer could open it."""
    head = {"ctx": b(seed("tag")), "kc": b(seed("kc")), "to": [b(seed("one")[:16])], "v": 1, "w": "epoch"}
    return b"FPR1" + l32(text(head)) + l32(bytes(2064)) + bytes(48)


def vectors() -> dict[str, object]:
    """The whole file. Sealing draws randomness inside HPKE: each call gives other bytes."""
    made = valid()
    good = made["one recipient"]
    assert Upload.parse(good.upload).to_bytes() == good.upload
    delivery = delivered(good)
    invalid: list[dict[str, object]] = []
    for what, data, code in bad_uploads(good):
        invalid.append(
            {"name": what, "kind": "upload", "change": changed(good.upload, data), "refusal": code}
        )
    for what, data, code, who, now in bad_deliveries(good):
        invalid.append(
            {
                "name": what, "kind": "delivery", "change": changed(delivery, data), "refusal": code,
                "agency": who.id, "prekey_seed": b(seed(f"{who.name} prekey")), "now": now,
            }
        )  # fmt: skip
    return {
        "description": "Messages from Alder's duty desk: uploads as the relay gets them, deliveries as recipients do. "
        "A change is to the first valid message, its upload or its first delivery.",
        "now": NOW,
        "log": LOG_KEY.text(),
        "oversight": OVERSIGHT.id,
        "directory": [statement.to_json() for statement in STATEMENTS],
        "officers": [
            {"agency": k.id, "kid": k.ig.kid, "seed": b(seed(f"{k.name} ig"))}
            for k in (ALDER, OVERSIGHT, BIRCH, CEDAR)
        ],
        "valid": [describe(name, forged) for name, forged in made.items()],
        "invalid": invalid,
    }
