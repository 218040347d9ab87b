"""The briefing pack set as a PDF by typst: tagged (PDF/UA-1), the marking on every page, the watermark in the foot."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.errors import InputError


def pdf(pack: Mapping[str, Any]) -> bytes:
    """The bytes of the PDF of ``risk.pack.pack``. InputError when it cannot be set."""
    return _set(pack, "pdf")[0]


def pictures(pack: Mapping[str, Any], ppi: float = 72.0) -> list[bytes]:
    """Every page as a PNG, to look at."""
    return _set(pack, "png", ppi)


def _set(pack: Mapping[str, Any], form: str, ppi: float | None = None) -> list[bytes]:
    import typst

    with tempfile.TemporaryDirectory(prefix="doorstep-pack-") as name:
        folder = Path(name)
        (folder / "pack.json").write_text(json.dumps(pack, ensure_ascii=False), encoding="utf-8")
        source = files("risk").joinpath("data", "pack.typ").read_text(encoding="utf-8")
        (folder / "pack.typ").write_text(source, encoding="utf-8")
        compiler: Any = typst.compile  # its stubs know the forms apart by literals only
        asked: dict[str, Any] = {"input": str(folder / "pack.typ"), "root": str(folder), "timestamp": 0}
        asked |= {"pdf_standards": ["ua-1"]} if form == "pdf" else {"ppi": ppi}
        try:
            made = compiler(**asked, format=form)
        except typst.TypstError as fault:
            raise InputError(
                f"The PDF could not be set: {fault.message}.",
                where="briefing pack",
                cure="Print the list page instead, and tell the maintainers what typst said.",
            ) from fault
    return [bytes(one) for one in made] if isinstance(made, list) else [bytes(made)]
