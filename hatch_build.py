"""Puts the packages of the repository under one name, `alsobought`, when the wheel is built.

In the repository they are imported as `state`, `streams` and so on; installed they are `alsobought.state` and
`alsobought.streams`, so that an installed alsobought claims no other name. The folders are in pyproject.toml,
under `tool.hatch.build.targets.wheel`; this hook gives hatchling a copy of each file that names one of them.

A name is rewritten where the syntax tree has it: in imports, and in strings that are the name of a module,
such as "streams.app" or "state.errors:StateError". In docstrings it is rewritten in commands and examples.
Every line stays where it is. What cannot be rewritten, because the name of a module is put together at run
time, ends the build.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_QUOTE = re.compile(rb"""[a-zA-Z]*(\"\"\"|'''|"|')""")
_FROM = re.compile(rb"from\s+")
_IN_TEXT = re.compile(r"(?:>>> from | -[mA] )((?:\w+\.)+\w+)")


class RewriteError(Exception):
    """A name that cannot be rewritten; the message has the file, the line and what to write."""


class Edit(NamedTuple):
    """Bytes of a line that are replaced; lines count from 1."""

    line: int
    start: int
    end: int
    new: str


class Names:
    """The packages that move, and all their modules.

    Parameters
    ----------
    packages
        The new name of each package, such as {"state": "alsobought.state"}.
    modules
        The names of all modules and packages before the move.
    """

    def __init__(self, packages: Mapping[str, str], modules: set[str]) -> None:
        self._packages = packages
        self._modules = modules
        self._named = re.compile(rf"(?P<module>(?:{'|'.join(packages)})(?:\.\w+)+)(?::\w+)?")
        self._begun = re.compile(rf"(?:{'|'.join(packages)})\.")

    def moved(self, name: str) -> bool:
        """Return whether a module is in one of the packages."""
        return name.partition(".")[0] in self._packages

    def new(self, name: str) -> str:
        """Return the new name of a module of one of the packages."""
        package, dot, rest = name.partition(".")
        return self._packages[package] + dot + rest

    def names_module(self, text: str) -> bool:
        """Return whether a text is the name of a moved module, or of something in it after a colon."""
        match = self._named.fullmatch(text)
        return match is not None and match["module"] in self._modules

    def begins_a_module(self, text: str) -> bool:
        """Return whether a text may be the beginning of such a name."""
        return self._begun.match(text) is not None


def rewrite(source: str, names: Names, where: str) -> str:
    """Return the source with the new names of moved packages.

    Raises
    ------
    RewriteError
        A module's name is written in a way that cannot be rewritten.
    """
    lines = source.encode().split(b"\n")
    for edit in sorted(_edits(ast.parse(source), lines, names, where), reverse=True):
        line = lines[edit.line - 1]
        lines[edit.line - 1] = line[: edit.start] + edit.new.encode() + line[edit.end :]
    return b"\n".join(lines).decode()


def _edits(tree: ast.AST, lines: list[bytes], names: Names, where: str) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and names.moved(node.module or ""):
            match = _FROM.match(lines[node.lineno - 1], node.col_offset)
            old = (node.module or "").encode()
            if match is None or not lines[node.lineno - 1].startswith(old, match.end()):
                raise RewriteError(f"{where}:{node.lineno}: write `from` and the module on one line")
            yield Edit(node.lineno, match.end(), match.end() + len(old), names.new(node.module or ""))
        elif isinstance(node, ast.Import):
            yield from _of_import(node, names, where)
        elif isinstance(node, ast.JoinedStr):
            first = node.values[0] if node.values else None
            if isinstance(first, ast.Constant) and names.begins_a_module(str(first.value)):
                raise RewriteError(
                    f"{where}:{node.lineno}: the name of a module that moves is put together here: begin it"
                    " with __name__ or __package__, or write it out"
                )
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and names.names_module(node.value)
        ):
            quote = _QUOTE.match(lines[node.lineno - 1], node.col_offset)
            old = node.value.partition(":")[0].encode()
            if quote is None or not lines[node.lineno - 1].startswith(old, quote.end()):
                raise RewriteError(f"{where}:{node.lineno}: write {node.value!r} in one piece")
            yield Edit(node.lineno, quote.end(), quote.end() + len(old), names.new(old.decode()))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _in_text(node, lines, names)


def _in_text(node: ast.Constant, lines: list[bytes], names: Names) -> Iterator[Edit]:
    """Yield the edits of `>>> from state.x import y`, `python -m state.x` and `faust -A state.x`."""
    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        for match in _IN_TEXT.finditer(lines[line - 1].decode()):
            if names.names_module(match[1]):
                start = len(match.string[: match.start(1)].encode())
                yield Edit(line, start, start + len(match[1]), names.new(match[1]))


def _of_import(node: ast.Import, names: Names, where: str) -> Iterator[Edit]:
    for alias in node.names:
        if not names.moved(alias.name):
            continue
        start, new = alias.col_offset, names.new(alias.name)
        if alias.asname is None:
            # `import state.compile` binds the name `state`: the package
            if len(node.names) > 1:
                raise RewriteError(f"{where}:{node.lineno}: write each import on a line of its own")
            package = alias.name.partition(".")[0]
            above, _, name = names.new(package).rpartition(".")
            new += (
                f"; from {above} import {name} as {package}"
                if name != package
                else f"; from {above} import {name}"
            )
        yield Edit(alias.lineno, start, start + len(alias.name), new)


class OneName(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the rewritten files, and name them to hatchling in place of the originals."""
        if version == "editable":
            return
        packages = {
            old.rstrip("/"): new.rstrip("/").replace("/", ".")
            for old, new in self.build_config.sources.items()
        }
        files = list(self.build_config.builder.recurse_selected_project_files())
        targets = [file.distribution_path for file in files]
        if clashing := _clashes(targets):
            raise RewriteError(f"two modules would have one name in the wheel: {', '.join(clashing)}")
        names = Names(packages, {_module(file.relative_path) for file in files if file.path.endswith(".py")})
        self._folder = tempfile.TemporaryDirectory()
        for file in files:
            if file.path.endswith(".py"):
                source = Path(file.path).read_text(encoding="utf-8")
                if (new := rewrite(source, names, file.relative_path)) != source:
                    copy = Path(self._folder.name, file.distribution_path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_text(new, encoding="utf-8")
                    copy.chmod(0o644)
                    build_data["force_include"][str(copy)] = file.distribution_path

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove the rewritten files."""
        if version != "editable":
            self._folder.cleanup()


def _module(path: str) -> str:
    parts = Path(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _clashes(paths: list[str]) -> list[str]:
    """Return the modules that are there twice, or beside a package of the same name."""
    modules = [_module(path) for path in paths if path.endswith(".py")]
    return sorted({module for module in modules if modules.count(module) > 1})
