"""The vectors of clear objects: canonical JSON, key ids, directory, partnership, agreements, receipts, requests, key files."""

from schemas.canonical import encode
from schemas.directory import safety_number
from schemas.grants import Withdrawal, withdrawal_hash
from schemas.keyfile import QUICK, lock
from schemas.keys import OpeningKey, SigningKey
from schemas.padding import bucket
from schemas.receipt import Receipt
from schemas.request import Target, sign_request
from schemas.signing import Purpose, Signed
from tests.tools import vector_rotations
from tests.tools.forge import b, text
from tests.tools.vector_world import (
    ALDER,
    BIRCH,
    CEDAR,
    DAY,
    GID,
    GRANT,
    LOG_KEY,
    OVERSIGHT,
    STAPLE,
    STATEMENTS,
    T0,
    directory,
    partnership,
    seed,
)

SMALL_ORDER = bytes([1]) + bytes(31)


def canonical() -> dict[str, object]:
    value = {
        "b": [1, -5, True, None],
        "a": 'quote " slash / back \\ tab \t del \x7f Zo\u00eb \U0001f600',
        "A": {},
    }
    good = [encode(value).decode(), "{}", "[]", '"x"', "-1", str(2**53 - 1), "[" * 6 + "]" * 6]
    bad = {
        '{"b":1,"a":2}': "NOT_CANONICAL",
        '{"a": 1}': "NOT_CANONICAL",
        '{"a":1}\n': "NOT_CANONICAL",
        '{"\\u0061":1}': "NOT_CANONICAL",
        '"Zo\u00eb"': "NOT_CANONICAL",
        '"\\u00EB"': "NOT_CANONICAL",
        '"\\/"': "NOT_CANONICAL",
        '"\\ud800"': "NOT_CANONICAL",
        "-0": "NOT_CANONICAL",
        str(2**53): "NOT_CANONICAL",
        "[" * 7 + "]" * 7: "NOT_CANONICAL",
        "\ufeff{}": "FORM",
        '{"a":1,"a":1}': "FORM",
        "1.0": "FORM",
        "1e3": "FORM",
        "NaN": "FORM",
        "-Infinity": "FORM",
        "9" * 18: "FORM",
        "01": "FORM",
        "'a'": "FORM",
        "[1,]": "FORM",
        "": "FORM",
        "{} {}": "FORM",
        "[" * 60_000: "FORM",
        '"' + "x" * 70_000 + '"': "TOO_BIG",
    }
    return {
        "description": "Canonical JSON (F1 to F3), read with a limit of 65,536 bytes; `repeat` says that text comes that often.",
        "valid": [{"name": t[:12], "text": t} for t in good],
        "invalid": [{"name": t[:12], **_short(t), "refusal": code} for t, code in bad.items()],
    }


def _short(value: str) -> dict[str, object]:
    if len(value) < 100:
        return {"text": value}
    return (
        {"text": value[0], "repeat": len(value)}
        if value[0] == "["
        else {"text": '"', "fill": "x", "repeat": len(value) - 2}
    )


def keys() -> dict[str, object]:
    hybrid = BIRCH.prekey
    low = hybrid.public[:1184]
    bad = [
        ("31 bytes", "ed25519", ALDER.msg.public[:31]),
        ("the neutral element", "ed25519", SMALL_ORDER),
        ("a point of order eight", "ed25519", bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        ("not on the curve", "ed25519", bytes([2]) + bytes(31)),
        ("not reduced", "ed25519", (2**255 - 18).to_bytes(32, "little")),
        ("1215 bytes", "x-wing", hybrid.public[:-1]),
        ("an ML-KEM key that is not reduced", "x-wing", b"\xff" * 1184 + hybrid.public[1184:]),
        ("an X25519 point of nought", "x-wing", low + bytes(32)),
        ("an X25519 point of one", "x-wing", low + SMALL_ORDER),
        ("an X25519 point of one, with the top bit set", "x-wing", low + SMALL_ORDER[:31] + b"\x80"),
        ("an X25519 point of order eight", "x-wing", low + bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
        ("another algorithm", "rsa", ALDER.msg.public),
    ]  # fmt: skip
    return {
        "description": "Keys from their seeds, their ids (K2, K4), an agency's id (K9) and safety number (K10), padded sizes (E6).",
        "valid": [
            {"name": "Alder's msg key", "alg": "ed25519", "seed": b(ALDER.msg.seed()), "public": b(ALDER.msg.public), "kid": ALDER.msg.kid},
            {"name": "Birch's prekey", "alg": "x-wing", "seed": b(hybrid.seed()), "public": b(hybrid.public), "kid": hybrid.kid},
        ],
        "agency": {"inception": STATEMENTS[0].text.decode(), "id": OVERSIGHT.id, "safety_number": safety_number(OVERSIGHT.id)},
        "padding": [[size, bucket(size, 4096)] for size in (1, 4096, 4097, 65536, 65537, 70000, 131072, 131073, 200000, 1000000)],
        "invalid": [{"name": name, "alg": alg, "public": b(public), "refusal": "KEY"} for name, alg, public in bad],
    }  # fmt: skip


def directories() -> dict[str, object]:
    view = directory()
    return {
        "description": "The directory's statements in order (K8 to K14, K19 to K24), and the view after them. An invalid one is tried after the first row.",
        "oversight": OVERSIGHT.id,
        "seeds": {f"{k.name} {use}": b(seed(f"{k.name} {use}")) for k in (OVERSIGHT, ALDER, BIRCH, CEDAR) for use in ("op", "msg")} | {f"alder next root {n}": b(seed(f"alder next root {n}")) for n in range(3)},
        "valid": [{"name": "all of them", "statements": [s.to_json() for s in STATEMENTS], "size": view.size, "root": b(view.frontier.root())}, vector_rotations.row()],
        "invalid": [{"name": name, "statement": s.to_json(), "refusal": code} for name, s, code in (*_bad_statements(), *vector_rotations.invalid())],
    }  # fmt: skip


def _bad_statements() -> list[tuple[str, Signed, str]]:
    chain = ALDER.chain
    fresh = SigningKey(seed("fresh"))

    def one(body: object, op: str = "add-key", key: SigningKey = ALDER.op, **fields: object) -> Signed:
        value = {
            "agency": ALDER.id, "body": body, "by": key.kid, "op": op, "prev": chain.head, "seq": chain.seq + 1, "ts": T0, "v": 1,
        }  # fmt: skip
        return Signed.make(key, Purpose.DIRECTORY, {**value, **fields})

    def added(
        public: bytes = fresh.public,
        use: str = "auth",
        alg: str = "ed25519",
        nbf: int = T0,
        exp: int = T0 + DAY,
    ) -> dict:
        return {"alg": alg, "exp": exp, "nbf": nbf, "person": None, "pub": b(public), "use": use}

    flags = {"cda_relevant": False, "public_authority": False, "s16la_member": False}
    admitted = {"desks": ["duty"], "flags": flags, "member": BIRCH.id, "name": "Birch", "sector": "idva"}
    unsaid = {name: value for name, value in admitted.items() if name != "sector"}
    ours = {"agency": OVERSIGHT.id, "prev": OVERSIGHT.chain.head, "seq": OVERSIGHT.chain.seq + 1}
    good = one(added())
    stranger = OpeningKey(seed("fresh prekey")).public
    inception = STATEMENTS[7].peek()
    return [
        ("a number skipped", one(added(), seq=chain.seq + 2), "DIRECTORY"),
        ("a number again", one(added(), seq=chain.seq), "DIRECTORY"),
        ("another previous statement", one(added(), prev=b(bytes(32))), "DIRECTORY"),
        ("signed by another agency", one(added(), key=BIRCH.op), "DIRECTORY"),
        ("in the operational key's name, by another", Signed.make(BIRCH.op, Purpose.DIRECTORY, good.peek()), "SIGNATURE"),
        ("signed for another purpose", Signed.make(ALDER.op, Purpose.GRANT, good.peek()), "SIGNATURE"),
        ("an agency that is not there", one(added(), agency="ag1" + "a" * 32), "UNKNOWN_AGENCY"),
        ("an inception again", STATEMENTS[7], "DIRECTORY"),
        ("an inception that claims another's id", Signed.make(fresh, Purpose.DIRECTORY, {**inception, "agency": "ag1" + "a" * 32, "by": fresh.kid}), "DIRECTORY"),
        ("a key that is there already", one(added(ALDER.msg.public)), "KEY"),
        ("another agency's key", one(added(BIRCH.auth.public)), "KEY"),
        ("a root key for another use", one(added(SigningKey(seed("alder root 0")).public)), "KEY"),
        ("the operational key for another use", one(added(ALDER.op.public)), "KEY"),
        ("the wrong algorithm for its use", one(added(alg="x-wing", public=stranger)), "KEY"),
        ("a key of small order", one(added(SMALL_ORDER)), "KEY"),
        ("ends before it begins", one(added(exp=T0)), "KEY"),
        ("a prekey of more than 14 days", one(added(stranger, "prekey", "x-wing", exp=T0 + 14 * DAY + 1)), "KEY"),
        ("a use that nobody knows", one(added(use="master")), "FORM"),
        ("an operation that nobody knows", one(added(), op="expel"), "FORM"),
        ("a member that nobody knows", one({**added(), "note": "x"}), "FORM"),
        ("version 2", one(added(), v=2), "FORM"),
        ("revokes a key that is not its own", one({"kid": BIRCH.msg.kid, "reason": "lost", "since": T0}, "revoke"), "UNKNOWN_KEY"),
        ("an agency admits another", one(admitted, "admit"), "NOT_ALLOWED"),
        ("oversight admits nobody that is there", one({**admitted, "member": "ag1" + "a" * 32}, "admit", OVERSIGHT.op, **ours), "UNKNOWN_AGENCY"),
        ("a name that turns letters round", one({**admitted, "name": "Birch\u202e"}, "admit", OVERSIGHT.op, **ours), "FORM"),
        ("a name with an outer space", one({**admitted, "name": " Birch"}, "admit", OVERSIGHT.op, **ours), "FORM"),
        ("no desks", one({**admitted, "desks": []}, "admit", OVERSIGHT.op, **ours), "FORM"),
        ("a sector that nobody knows", one({**admitted, "sector": "refuge"}, "admit", OVERSIGHT.op, **ours), "FORM"),
        ("no sector", one(unsaid, "admit", OVERSIGHT.op, **ours), "FORM"),
        ("not canonical", Signed(good.text.replace(b":", b": ", 1), good.signature), "NOT_CANONICAL"),
    ]  # fmt: skip


def partnerships() -> dict[str, object]:
    found = partnership()
    charter, inception = found.signed.peek(), found.inception

    def signed(key: SigningKey = OVERSIGHT.op, **fields: object) -> dict[str, object]:
        made = Signed.make(key, Purpose.PARTNERSHIP, {**charter, **fields})
        return {"charter": made.to_json(), "inception": inception.to_json()}

    bad = [
        ("signed by another", signed(ALDER.op), "SIGNATURE"),
        ("names another oversight", signed(oversight=ALDER.id), "DIRECTORY"),
        ("log keys of another origin", signed(origin="other.example/log"), "SETTINGS"),
        (
            "one key for both logs",
            signed(keys_log=LOG_KEY.text().replace("/log+", "/log/keys+")),
            "CHECKPOINT",
        ),
        ("a log key that is none", signed(log="x"), "CHECKPOINT"),
        ("an address with a path", signed(relay="https://relay.example/x"), "FORM"),
        ("something more", {**signed(), "x": 1}, "SETTINGS"),
    ]
    return {
        "description": "Partnership files (K16).",
        "valid": [{"name": "the vectors' own", "file": found.to_bytes().decode()}],
        "invalid": [
            {"name": name, "file": text(value).decode(), "refusal": code} for name, value, code in bad
        ],
    }


def grants() -> dict[str, object]:
    gid, grant, status = GID, GRANT.peek(), STAPLE.peek()
    end = Withdrawal(v=1, gid=gid, by=BIRCH.id, signer=BIRCH.consent.kid, ts=T0 + 5).model_dump(mode="json")

    def bad(name: str, kind: str, value: dict, code: str, **fields: object) -> dict[str, object]:
        made = Signed.make(ALDER.consent, Purpose(f"fenpost/v1/{kind}"), {**value, **fields})
        return {"name": name, "kind": kind, "statement": made.to_json(), "refusal": code}

    withdrawal = Signed.make(BIRCH.consent, Purpose.WITHDRAW, end)
    answer = {
        "a": ALDER.id, "did": "kept", "gid": gid, "outside": False, "passed": [], "signer": ALDER.consent.kid,
        "ts": T0 + 60, "v": 1, "wd": b(withdrawal_hash(withdrawal)), "why": "legal-duty",
    }  # fmt: skip
    flipped = Signed(GRANT.text, GRANT.signature[:-1] + bytes([GRANT.signature[-1] ^ 1]))
    return {
        "description": "Agreements, staples, withdrawals (C1 to C3) and answers to recalls (J7), signed by consent keys.",
        "public": {"alder": b(ALDER.consent.public), "birch": b(BIRCH.consent.public)},
        "valid": [
            {"name": "grant", "kind": "grant", "by": "alder", "statement": GRANT.to_json()},
            {"name": "status", "kind": "grant-status", "by": "alder", "statement": STAPLE.to_json()},
            {"name": "withdrawal", "kind": "withdraw", "by": "birch", "statement": withdrawal.to_json()},
            {"name": "answer to a recall", "kind": "recalled", "by": "alder", "statement": Signed.make(ALDER.consent, Purpose.RECALLED, answer).to_json()},
        ],
        "invalid": [
            {"name": "a bit of the signature is turned", "kind": "grant", "statement": flipped.to_json(), "refusal": "SIGNATURE"},
            {**bad("a grant shown as a status", "grant", grant, "FORM"), "kind": "grant-status"},
            bad("longer than 90 days", "grant", grant, "GRANT", exp=T0 + 90 * DAY + 1),
            bad("ends before it begins", "grant", grant, "GRANT", exp=T0),
            bad("to nobody", "grant", grant, "FORM", to=[]),
            bad("a purpose that is no code", "grant", grant, "FORM", pur=["immigration"]),
            bad("words for a category", "grant", grant, "FORM", cat=["her new address"]),
            bad("a member that nobody knows", "grant", grant, "FORM", person="x"),
            bad("truth for a version", "grant", grant, "FORM", ver=True),
            bad("good for more than a day", "grant-status", status, "STATUS_STALE", exp=T0 + DAY + 1),
            bad("a state that nobody knows", "grant-status", status, "FORM", state="paused"),
            bad("withdrawn by nobody", "withdraw", end, "FORM", by=""),
            bad("kept without a reason", "recalled", answer, "FORM", why=None),
            bad("a reason without keeping", "recalled", answer, "FORM", did="deleted"),
            bad("nothing held, but passed on", "recalled", answer, "FORM", did="nothing-held", why=None, outside=True),
            bad("a word for truth", "recalled", answer, "FORM", outside="Yes"),
        ],
    }  # fmt: skip


def receipts() -> dict[str, object]:
    base = Receipt(
        v=1, eid=b(seed("an eid")), a=BIRCH.id, d="idva", state="collected", body=b(seed("a body")), ts=T0 + 300,
        signer=BIRCH.msg.kid, role=None, reason=None,
    ).model_dump(mode="json")  # fmt: skip
    steps = [
        {**base},
        {**base, "state": "opened"},
        {**base, "state": "taken-on", "role": "duty-worker"},
        {**base, "state": "rejected", "reason": "cannot-read"},
    ]
    bad = [
        ("a rejection without a reason", {**base, "state": "rejected"}),
        ("a reason without a rejection", {**base, "reason": "cannot-read"}),
        ("a role that only collects", {**base, "role": "duty-worker"}),
        ("a name for a role", {**base, "state": "taken-on", "role": "Jo Smith"}),
        ("a step that only the relay takes", {**base, "state": "expired"}),
        ("a reason of no list", {**base, "state": "rejected", "reason": "failed to engage"}),
        ("a member more", {**base, "note": "x"}),
    ]
    return {
        "description": "Receipts (D2), signed by the recipient's msg key.",
        "public": b(BIRCH.msg.public),
        "valid": [{"name": v["state"], "statement": Signed.make(BIRCH.msg, Purpose.RECEIPT, v).to_json()} for v in steps],
        "invalid": [
            {"name": name, "statement": Signed.make(BIRCH.msg, Purpose.RECEIPT, v).to_json(), "refusal": "FORM"} for name, v in bad
        ]
        + [{"name": "signed for another purpose", "statement": Signed.make(BIRCH.msg, Purpose.FRESH, base).to_json(), "refusal": "SIGNATURE"}],
    }  # fmt: skip


def requests() -> dict[str, object]:
    target = Target("POST", "relay.example", "/v1/receipts", "", "application/json")
    body = b'{"notices":[1],"receipts":[]}'
    headers = sign_request(target, body, BIRCH.auth, T0, seed("nonce"))
    other = sign_request(target, b"{}", BIRCH.auth, T0, seed("nonce"))

    def edit(name: str, old: str, new: str) -> dict[str, str]:
        assert old in headers[name], (name, old)
        return {**headers, name: headers[name].replace(old, new, 1)}

    i, s = "Signature-Input", "Signature"
    bad = [
        ("no signature", {k: v for k, v in headers.items() if k != s}, {}),
        ("another label", edit(i, "fenpost=", "sig1="), {}),
        ("components in another order", edit(i, '"@method" "@authority"', '"@authority" "@method"'), {}),
        ("a component less", edit(i, ' "content-digest"', ""), {}),
        ("a life of an hour", edit(i, f"expires={T0 + 60}", f"expires={T0 + 3600}"), {}),
        ("another algorithm", edit(i, "ed25519", "hmac-sha256"), {}),
        ("another tag", edit(i, "fenpost-v1", "fenpost-v2"), {}),
        ("a short nonce", edit(i, 'nonce="', 'nonce="A";x="'), {}),
        ("two signatures", {**headers, i: headers[i] + ", " + headers[i]}, {}),
        ("a parameter more", {**headers, i: headers[i] + ";x=1"}, {}),
        ("91 seconds later", headers, {"now": T0 + 91}),
        ("91 seconds before", headers, {"now": T0 - 91}),
        ("another method", headers, {"method": "PUT"}),
        ("another authority", headers, {"authority": "evil.example"}),
        ("another path", headers, {"path": "/v1/envelopes"}),
        ("a query", headers, {"query": "x=1"}),
        ("another body", headers, {"body": b(b"{}")}),
        (
            "another body, with its digest",
            {**headers, "Content-Digest": other["Content-Digest"]},
            {"body": b(b"{}")},
        ),
        ("another digest algorithm", {**headers, "Content-Digest": "sha-512=:AAAA:"}, {}),
        ("another key", headers, {"public": b(ALDER.auth.public)}),
        ("a signature of nought", {**headers, s: "fenpost=:" + "A" * 86 + "==:"}, {}),
    ]
    base = {
        "method": "POST", "authority": "relay.example", "path": "/v1/receipts", "query": "", "content_type": "application/json",
        "body": b(body), "now": T0 + 1, "public": b(BIRCH.auth.public),
    }  # fmt: skip
    return {
        "description": "Signed requests (A1 to A4). Whether the nonce is new and the key stands is not asked here.",
        "valid": [{"name": "receipts", **base, "created": T0, "nonce": b(seed("nonce")), "seed": b(seed("birch auth")), "headers": headers}],
        "invalid": [{"name": name, **base, **more, "headers": sent, "refusal": "UNAUTHENTICATED"} for name, sent, more in bad],
    }  # fmt: skip


def keyfiles() -> dict[str, object]:
    secrets, passphrase = {"ig": b(seed("alder ig"))}, b"four plain words here"
    draws = iter((seed("salt")[:16], seed("file nonce")[:24]))
    data = lock(secrets, "officer", passphrase, QUICK, lambda _: next(draws))
    greedy = data.replace(b'"mem":8192', b'"mem":9999999999')
    bad = [
        ("another passphrase", data, "officer", b"four other words here"),
        ("holds something else", data, "relay", passphrase),
        ("a byte of the secrets is turned", data[:-1] + bytes([data[-1] ^ 1]), "officer", passphrase),
        ("a byte of the head is turned", data.replace(b'"v":1', b'"v":2'), "officer", passphrase),
        ("asks for ten gigabytes", greedy[:4] + (int.from_bytes(data[4:8], "big") + 6).to_bytes(4, "big") + greedy[8:], "officer", passphrase),
        ("cut off", data[:60], "officer", passphrase),
        ("another magic", b"FPK2" + data[4:], "officer", passphrase),
        ("empty", b"", "officer", passphrase),
    ]  # fmt: skip
    return {
        "description": "Key files (K17), at the least cost that argon2id has: for vectors only.",
        "valid": [
            {"name": "an officer's", "file": b(data), "holds": "officer", "passphrase": passphrase.decode(), "secrets": secrets,
             "salt": b(seed("salt")[:16]), "nonce": b(seed("file nonce")[:24])},
        ],
        "invalid": [
            {"name": name, "file": b(broken), "holds": holds, "passphrase": words.decode(), "refusal": "KEYFILE"} for name, broken, holds, words in bad
        ],
    }  # fmt: skip
