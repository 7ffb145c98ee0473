"""Pages from their templates; every value is escaped on its way in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

# What HTML doesn't allow in text or UTF-8 can't write: control characters and halves of surrogate pairs.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render(template: str, common: dict[str, Any] | None = None, **values: Any) -> str:
    """The HTML of a page.

    Args:
        template: its file in this folder.
        common: what the templates that it includes need, too.
        values: what it shows.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.globals.update(common or {})
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", templates.get_template(template).render(**values))
