"""What an author is to sign: the core's words about one message, or about a thread of risk (PROTOCOL.md O4). Pure."""

from __future__ import annotations

from agent.forms import Json
from agent.override_forms import OverrideAsk, ThreadAsk
from schemas.covering import check_basis, check_message
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.override import Terms

DAY = 24 * 3600


def about_message(
    form: OverrideAsk, header: Header, view: Directory, terms: Terms, now: int, *, gone: bool
) -> Json:
    """The core's words about a message that waits, or has gone (`gone`) and wants a signature.

    Raises:
        Refusal: BASIS or REASON when neither the message nor the author names one, and what `check_message` says.
    """
    basis = form.basis or header.law.b6
    if basis is None:
        raise Refusal(
            "BASIS", "This message names no basis. Say on which one it rests, such as 6e (--basis)."
        )
    why = form.why or header.law.why_no or ("F" if header.rag == "RED" else None)
    if why is None:
        raise Refusal("REASON", "This message does not say why nobody was asked. Say the reason (--why).")
    check_message(basis, why, header, view, terms, now, gone=gone)
    return {
        "basis": basis,
        "cat": list(header.cat),
        "exp": now + terms.message,
        "from": {"a": header.sender.a, "d": header.sender.d},
        "mid": header.mid,
        "pur": header.pur,
        "reason": why,
        "scope": "msg",
        "thr": None,
        "to": _sorted([(r.a, r.d) for r in header.to]),
    }


def about_thread(form: ThreadAsk, agency: str, view: Directory, terms: Terms, now: int) -> Json:
    """The core's words about a thread. Raises Refusal UNKNOWN_AGENCY, and what `check_basis` says."""
    check_basis(form.basis, terms.policy)
    return {
        "basis": form.basis,
        "cat": sorted(set(form.categories)),
        "exp": now + form.days * DAY,
        "from": {"a": agency, "d": form.from_desk},
        "mid": None,
        "pur": form.purpose,
        "reason": form.why,
        "scope": "thread",
        "thr": form.thread,
        "to": _sorted([(view.addressee(to.agency, now).id, to.desk) for to in form.to]),
    }


def _sorted(desks: list[tuple[str, str]]) -> list[Json]:
    return [{"a": agency, "d": desk} for agency, desk in sorted(set(desks))]
