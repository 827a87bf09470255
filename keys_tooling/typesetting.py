"""Pages as tagged PDF (PDF/UA-1), printed by typst, an extra: nothing is fetched and no font of the machine used."""

from __future__ import annotations

import json
from importlib.resources import as_file, files

from schemas.canonical import Json
from schemas.errors import Refusal


def typeset(package: str, template: str, page: Json) -> bytes:
    """A page in a template of this package. The same page gives the same bytes.

    Raises:
        Refusal: NO_PDF where typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise Refusal("NO_PDF") from None
    with as_file(files(package).joinpath("templates")) as folder:
        printed = typst.compile(
            str(folder / template),
            root=str(folder),
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=["ua-1"],
            sys_inputs={"page": json.dumps(page)},
        )
    if not isinstance(printed, bytes):
        raise Refusal("NO_PDF")
    return printed
