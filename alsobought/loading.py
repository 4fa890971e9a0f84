"""Commands whose modules are imported when they are called; `--help` imports none of them.

A list of commands shows the first sentence of each command's docstring, read from the source.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

MARGIN = 6  # between the columns of a list of commands, and before the first


class LoadingGroup(TyperGroup):
    """A group that finds its commands by name: `table` has the module and the function of each."""

    table: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, and then of the groups within."""
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, its module imported; None for an unknown name."""
        if cmd_name not in self.table:
            return super().get_command(ctx, cmd_name)
        module, _, function = self.table[cmd_name].partition(":")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(cmd_name)(getattr(importlib.import_module(module), function))
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without loading them."""
        names = self.list_commands(ctx)
        width = formatter.width - MARGIN - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self._described(ctx, name).get_short_help_str(width)) for name in names]
            )

    def _described(self, ctx: Any, name: str) -> Any:
        if name not in self.table:
            return super().get_command(ctx, name)
        module, _, function = self.table[name].partition(":")
        return TyperCommand(name, help=docstrings(module)[function])


def loading(group: type[LoadingGroup], table: Mapping[str, str]) -> type[LoadingGroup]:
    """Return the group class with these commands: by name, `module:function`."""
    return type(group.__name__, (group,), {"table": table})


@cache
def docstrings(module: str) -> dict[str, str]:
    """Return the docstring of every function of a module, which is read and not imported.

    >>> docstrings("alsobought.loading")["loading"]
    'Return the group class with these commands: by name, `module:function`.'
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"there is no module {module}")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return {one.name: ast.get_docstring(one) or "" for one in tree.body if isinstance(one, ast.FunctionDef)}
