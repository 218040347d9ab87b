"""The report as a PDF, set by typst from the same pieces as the page: tagged, with the marking on every page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from features.errors import InputError

Block = dict[str, Any]


def pdf_of(page: Mapping[str, Any]) -> bytes:
    """The bytes of the PDF (PDF/UA-1); the same for the same page."""
    return compiled(page, "pdf")[0]


def pages_of(page: Mapping[str, Any], ppi: float = 72.0) -> list[bytes]:
    """Every page as a PNG, to look at."""
    return compiled(page, "png", ppi)


def compiled(page: Mapping[str, Any], form: str, ppi: float | None = None) -> list[bytes]:
    """The report set by typst: one PDF, or one PNG a page. InputError when typst cannot set it."""
    import typst

    with tempfile.TemporaryDirectory(prefix="doorstep-report-") as name:
        folder = Path(name)
        drawings: list[str] = []
        data = {k: v for k, v in page.items() if k != "atrs"}
        data["sections"] = [
            {**s, "blocks": [_filed(b, drawings) for b in s["blocks"]]} for s in page["sections"]
        ]
        for i, svg in enumerate(drawings):
            (folder / f"{i}.svg").write_text(svg, encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        source = files("models").joinpath("data", "report.typ").read_text(encoding="utf-8")
        (folder / "report.typ").write_text(source, encoding="utf-8")
        asked = {
            "input": str(folder / "report.typ"),
            "root": str(folder),
            "font_paths": _fonts(),
            "timestamp": 0,
        }
        compiler: Any = typst.compile  # its stubs know the two calls apart by literals only
        try:
            if form == "pdf":
                made = compiler(**asked, format="pdf", pdf_standards=["ua-1"])
            else:
                made = compiler(**asked, format=form, ppi=ppi)
        except typst.TypstError as fault:
            raise InputError(
                f"The PDF could not be set: {fault.message}.",
                where="report",
                cure="The same pieces are on the HTML page; tell the maintainers what typst said.",
            ) from fault
    return [bytes(m) for m in made] if isinstance(made, list) else [bytes(made)]


def _fonts() -> list[str]:
    """Type that is there wherever the plots can be drawn."""
    import matplotlib as mpl

    return [str(Path(mpl.get_data_path()) / "fonts" / "ttf")]


def _filed(block: Mapping[str, Any], drawings: list[str]) -> Block:
    """The block with its drawings put aside as files, by number."""
    out = dict(block)
    if block["kind"] == "figures":
        out["items"] = []
        for item in block["items"]:
            drawings.append(item["svg"])
            out["items"].append(
                {"file": f"{len(drawings) - 1}.svg", "alt": item["alt"], "caption": item["caption"]}
            )
    elif block["kind"] == "folded":
        out["blocks"] = [_filed(b, drawings) for b in block["blocks"]]
    return out
