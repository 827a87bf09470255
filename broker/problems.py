"""How a refusal becomes HTTP: the one place that knows status numbers (RFC 9457)."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping

from aiohttp import web

from schemas import api
from schemas.errors import Refusal

STATUS: Mapping[str, int] = {
    "FORM": 400, "VERSION": 400, "NOT_CANONICAL": 400, "ATTACHMENTS": 400, "AGREE_MISSING": 400,
    "AGREE_NULL": 400, "AGREE_WORD": 400, "AGREE_BOTH": 400,
    "UNAUTHENTICATED": 401,
    "NOT_ALLOWED": 403, "PURPOSE": 403, "CONSENT_ONLY": 403, "SCOPE": 403, "REASON": 403, "ASK_FIRST": 403,
    "BASIS": 403, "REFUSED": 403, "HOLD_LEAD": 403, "LEAD_AFTER": 403, "GRANT": 403, "STATUS_STALE": 403,
    "OVERRIDE": 403, "UNFORESEEN": 403, "NO_REQUEST": 403, "VIR": 403, "VOCABULARY": 403, "NO_AGREEMENT": 403,
    "INVITE": 403, "AUTHORISER": 403, "BASIS_SWITCH": 403, "ONWARD": 403, "POLICY": 503,
    "NOT_FOUND": 404,
    "METHOD": 405,
    "SLOW": 408,
    "ID_CLASH": 409, "CONFLICT": 409, "DIRECTORY": 409, "REPLAY": 409,
    "ENDED": 410,
    "TOO_BIG": 413,
    "MEDIA": 415,
    "AUTHORITY": 421,
    "LIMITED": 429,
    "FAULT": 500,
    "UNAVAILABLE": 503, "TOO_LATE": 503,
    "DISK_FULL": 507,
}  # fmt: skip
"""Codes without a row are 422: well formed, and wrong; PAPER codes are the gate's, 403."""
CLOSING = frozenset({"SLOW", "TOO_BIG"})
"""After these the rest of a body may still be on its way, so the connection ends."""
HEADERS = {"Server": "fenpost", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""On every answer. aiohttp would otherwise name itself and Python with their versions."""


def status_of(code: str) -> int:
    return 403 if code.startswith("PAPER_") else STATUS.get(code, 422)


def problem(refusal: Refusal, allow: str = "", after: float = 1.0) -> web.Response:
    """The answer that a refusal deserves."""
    status = status_of(refusal.code)
    body = {
        "type": f"urn:fenpost:problem:{refusal.code.lower().replace('_', '-')}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": refusal.code,
        "say": refusal.say,
        "party": refusal.party,
        "retry": refusal.retry,
        "detail": list(refusal.detail),
    }
    headers = dict(HEADERS)
    if status in (429, 503, 507):
        headers["Retry-After"] = str(max(1, round(after)))
    if allow:
        headers["Allow"] = allow
    response = web.Response(
        status=status, body=json.dumps(body).encode("ascii"), content_type=api.PROBLEM, headers=headers
    )
    if refusal.code in CLOSING or status == 500:
        response.force_close()
    return response


def answer(body: bytes, content_type: str = api.JSON, headers: Mapping[str, str] = HEADERS) -> web.Response:
    """A good answer."""
    return web.Response(body=body, headers={**headers, "Content-Type": content_type})
