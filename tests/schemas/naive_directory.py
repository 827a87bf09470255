"""What a list of accepted directory statements comes to, worked out from all of them at once.

Written apart from schemas.directory, and slowly: it first finds what is void, and then never looks at that again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.canonical import unb64
from schemas.keys import kid_of

Statement = dict[str, Any]


def void(statements: Iterable[Statement]) -> set[tuple[str, int]]:
    """(agency, number) of every statement that a later rotate-root of the same agency voids."""
    listed, found = list(statements), set[tuple[str, int]]()
    for root in (
        one for one in listed if one["op"] == "rotate-root" and one["body"]["void_from"] is not None
    ):
        for one in listed:
            within = root["body"]["void_from"] <= one["seq"] < root["seq"] and one["agency"] == root["agency"]
            if within and one["op"] not in ("rotate-root", "emergency-revoke"):
                found.add((one["agency"], one["seq"]))
    for one in (said for said in listed if said["op"] == "emergency-revoke"):
        signed = {one["by"], one["body"]["second"]["by"]}
        stolen = {
            kid_of(s["body"]["alg"], unb64(s["body"]["pub"])) for s in listed
            if s["op"] == "add-key" and (s["agency"], s["seq"]) in found and s["agency"] == one["agency"]
        }  # fmt: skip
        if signed & stolen and any(
            root["agency"] == one["agency"] and (root["body"]["void_from"] or 2**31) <= one["seq"] < root["seq"]
            for root in listed if root["op"] == "rotate-root"
        ):  # fmt: skip
            found.add((one["agency"], one["seq"]))
    return found


class Naive:
    """The end of the story, told from its beginning."""

    def __init__(self, oversight: str, statements: list[Statement]) -> None:
        self.oversight = oversight
        self.all = statements
        self.void = void(statements)

    def stands(self, one: Statement) -> bool:
        return (one["agency"], one["seq"]) not in self.void

    def said(self, *ops: str, agency: str | None = None) -> list[Statement]:
        """The statements of these kinds that are not void."""
        return [
            one for one in self.all
            if one["op"] in ops and self.stands(one) and agency in (None, one["agency"])
        ]  # fmt: skip

    def op(self, agency: str) -> str:
        last = self.said("inception", "rotate-op", "rotate-root", agency=agency)[-1]
        return str(last["body"]["op_key"])

    def ended(self, agency: str) -> list[tuple[str, int, str]]:
        """(key, from when, why) of every word that counts."""
        found = [
            (o["body"]["kid"], o["body"]["since"], o["body"]["reason"])
            for o in self.said("revoke", agency=agency)
        ]
        for one in self.said("emergency-revoke", agency=agency):
            found += [(kid, one["body"]["since"], one["body"]["reason"]) for kid in one["body"]["kids"]]
        return found

    def keys(self, agency: str) -> dict[str, tuple[int, int | None]]:
        """Each key that was ever published: its first second, and from when it does not stand."""
        words, found = self.ended(agency), dict[str, tuple[int, int | None]]()
        for one in (s for s in self.all if s["op"] == "add-key" and s["agency"] == agency):
            body = one["body"]
            kid, ends = kid_of(body["alg"], unb64(body["pub"])), list[int]()
            if not self.stands(one):
                ends.append(body["nbf"])
            for what, since, reason in words:
                if what == kid:
                    ends.append(since)
                if what == one["by"] and reason == "compromised" and one["ts"] >= since - 300:
                    ends.append(body["nbf"])
            found[kid] = (body["nbf"], min(ends) if ends else None)
        return found

    def names(self, member: str) -> list[str]:
        return [o["body"]["name"] for o in self.said("admit") if o["body"]["member"] == member]

    def countersigned(self) -> dict[str, int]:
        return {o["body"]["kid"]: o["ts"] for o in self.said("countersign")}

    def moves(self) -> dict[str, tuple[str, int]]:
        return {o["body"]["was"]: (o["body"]["now"], o["body"]["until"]) for o in self.said("alias")}

    def left(self, member: str) -> tuple[int, str | None] | None:
        words = [o for o in self.said("leave") if o["body"]["member"] == member]
        last: dict[str, Statement] = {}
        for one in words:
            last[one["agency"]] = one
        if not last:
            return None
        counts = max(last.values(), key=lambda o: (o["ts"], o["agency"] == self.oversight))
        for again in (o for o in self.said("admit") if o["body"]["member"] == member):
            after = (again["ts"], again["seq"]) > (counts["ts"], counts["seq"])
            if counts["agency"] != self.oversight:
                after = again["ts"] > counts["ts"]
            if after and again["ts"] >= counts["body"]["stops"]:
                return None
        return counts["body"]["stops"], counts["body"]["successor"]

    def certified(self, agency: str) -> dict[str, int]:
        return {kid: o["ts"] for o in self.said("recertify", agency=agency) for kid in o["body"]["kids"]}
