"""The page of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr

from docs.making.tables import MADE, table_of
from streams.settings import Settings


def _annotation(of: Any) -> str:
    """Return in words what values a type has."""
    if get_origin(of) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(of))
    names = {
        bool: "`true` or `false`",
        int: "integer",
        float: "number",
        str: "text",
        SecretStr: "secret",
        Path: "path",
        type(None): "unset",
    }
    return " or ".join(_annotation(one) for one in get_args(of)) if get_args(of) else names[of]


def _default(value: Any) -> str:
    shown = str(value).lower() if isinstance(value, bool) else value
    return "unset" if value is None else f"`{shown}`"


def settings_page() -> str:
    """Return the page of settings."""
    user_folders = {"data_dir": "the user's data folder", "cache_dir": "the user's cache folder"}
    rows = []
    for name, field in Settings.model_fields.items():
        bounds = {n: getattr(one, n) for one in field.metadata for n in ("ge", "le", "lt") if hasattr(one, n)}
        low = bounds.get("ge")
        high, below = bounds.get("le"), bounds.get("lt")
        allowed = _annotation(field.annotation)
        if low is not None or high is not None or below is not None:
            allowed += f", {low:,}" if low is not None else ","
            top = f" to {high:,}" if high is not None else f" to below {below:,}" if below else " or more"
            allowed += top
        default = user_folders.get(name, _default(field.default))
        rows.append([f"`ALSOBOUGHT_{name.upper()}`", allowed, default, field.description or ""])
    about = " ".join((Settings.__doc__ or "").split())
    table = table_of(["variable", "values", "default", "what it is"], rows)
    return "\n\n".join([MADE, "# Settings", about, table]) + "\n"
