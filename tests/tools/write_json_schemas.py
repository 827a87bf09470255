"""Write the forms as JSON Schema: `python tests/tools/write_json_schemas.py`. A test fails while they are stale."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.messages.catalogue import export_schemas

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "json"


def printed() -> dict[str, str]:
    """File name -> text, for every form."""
    return {
        f"{name}.json": json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        for name, schema in export_schemas().items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in printed().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
