"""The REST face as OpenAPI 3.1, made from the same table that serves it."""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import models_json_schema

from agent.desk import ROUTES, Route
from agent.explaining import Refused
from schemas.api import PROBLEM

REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document."""
    models = [route.body for route in ROUTES if route.body is not None]
    _, schema = models_json_schema(
        [*((model, "validation") for model in models), (Refused, "serialization")], ref_template=REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fenpost agent, loopback face", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schema["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "summary": route.says,
        "responses": {
            str(route.done): {"description": "Done.", "content": answer},
            "default": {
                "description": "Refused, with a code and what to do next.",
                "content": {PROBLEM: {"schema": {"$ref": REF.format(model="Refused")}}},
            },
        },
    }
    names = re.findall(r"{(\w+)}", route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if route.path == "/v1/messages" and route.method == "POST":
        header = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 128}}
        operation["parameters"] = [header]
        operation["responses"]["200"] = {"description": "The same key again.", "content": answer}
    if route.path in ("/v1/inbox", "/v1/reconciliation"):
        operation["parameters"] = [{"name": "all", "in": "query", "schema": {"enum": ["0", "1"]}}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.body.__name__ not in ("Withdraw", "Refuse"),
            "content": {"application/json": {"schema": {"$ref": REF.format(model=route.body.__name__)}}},
        }
    return operation
