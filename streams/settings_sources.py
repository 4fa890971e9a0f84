"""Where settings come from. Of several sources that have a setting the first in this list holds:

command line    options such as --kafka, and what a program passes to `Settings`
environment     the variables ALSOBOUGHT_<NAME>
TOML file       NAME = VALUE; alsobought.toml in the working directory, or the file that ALSOBOUGHT_SETTINGS
                (or `alsobought --settings FILE`) names; an empty ALSOBOUGHT_SETTINGS: none is read
default         of the field

A name that no setting has is refused, in the file and in the environment.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

PREFIX = "ALSOBOUGHT_"
FILE_NAME = "alsobought.toml"
FILE_VARIABLE = f"{PREFIX}SETTINGS"
LOCATION = "location"
"""Metadata of a field of type str that holds a directory or a URL: a relative directory counts from the file
that names it."""

HIDDEN = "(hidden)"
LIKENESS = 0.6  # of a wrong name to the one that is suggested
_SECRET = re.compile(r"(password|secret|token)s?$")
_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
# variables that Kubernetes and Docker make of a service called alsobought-..., beside the container's own
_OF_A_SERVICE = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$")

Loaded = TypeVar("Loaded", bound=BaseSettings)


class SettingsError(Exception):
    """A setting cannot be used; the message says which, where it is from and what to do."""


class Origin(NamedTuple):
    """Where the value of a setting is from: the source, and what to look at."""

    source: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.place}".strip()


DEFAULT = Origin("default")
GIVEN = Origin("command line")


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the absolute path of the settings file; None without one.

    Raises
    ------
    SettingsError
        A file is named that does not exist.
    """
    named = environ.get(FILE_VARIABLE)
    if named is None:
        return Path(FILE_NAME).absolute() if Path(FILE_NAME).is_file() else None
    if not named:
        return None
    if not Path(named).is_file():
        raise SettingsError(
            f"there is no settings file {named}: create it, or correct --settings or {FILE_VARIABLE}."
        )
    return Path(named).absolute()


def values_of(file: Path, fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Return the values of a TOML file; raises SettingsError if it cannot be read."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the settings file {file} cannot be read: {error}. Write one NAME = VALUE in a line, with texts"
            ' in quotes, such as kafka = "localhost:9092".'
        ) from error
    return {
        name: _absolute(value, file.parent) if name in fields and is_location(fields[name]) else value
        for name, value in values.items()
    }


def sources(
    cls: type[BaseSettings], given: PydanticBaseSettingsSource, environment: PydanticBaseSettingsSource
) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources of settings, the first of which holds.

    Raises
    ------
    SettingsError
        A file cannot be read, or it or the environment has a name that no setting has.
    """
    file, fields = settings_file(os.environ), cls.model_fields
    values = {} if file is None else values_of(file, fields)
    unknown = [(f"{name} in {file}", name, "") for name in values if name not in fields]
    unknown += [
        (f"{variable} in the environment", name, PREFIX)
        for variable, name in _variables(os.environ).items()
        if name not in fields and not _OF_A_SERVICE.search(variable.upper())
    ]
    if unknown:
        raise SettingsError(_unknown(unknown, fields))
    return given, environment, InitSettingsSource(cls, values)


def load(cls: type[Loaded], **given: Any) -> Loaded:
    """Return the settings of all sources, with those that are given instead.

    Raises
    ------
    SettingsError
        A setting cannot be used.
    """
    try:
        return cls(**given)
    except ValidationError as error:
        found = origins(cls, given)
        troubles = [_trouble(cls, one, found) for one in error.errors()]
        raise SettingsError(
            f"settings cannot be used: {'; '.join(troubles)}. Correct or remove what is named."
        ) from error


def origins(cls: type[BaseModel], given: Iterable[str] = ()) -> dict[str, Origin]:
    """Return where each setting is from, as the process finds it now; `given` are those of the command
    line.
    """
    found = dict.fromkeys(cls.model_fields, DEFAULT)
    if (file := settings_file(os.environ)) is not None:
        found |= {name: Origin("file", str(file)) for name in values_of(file, cls.model_fields)}
    found |= {name: Origin("environment", variable) for variable, name in _variables(os.environ).items()}
    found |= dict.fromkeys(given, GIVEN)
    return {name: found[name] for name in cls.model_fields}


def shown(settings: BaseModel) -> dict[str, Any]:
    """Return the value of every setting, secrets and passwords in URLs hidden; paths are texts."""
    return {
        name: _shown(getattr(settings, name), is_secret(name, field))
        for name, field in type(settings).model_fields.items()
    }


def for_child(settings: BaseModel, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which another process, in any directory, has the same settings.

    A secret is not put there: the process has it from the file or from the environment, as this one.
    """
    file, fields = settings_file(environ), type(settings).model_fields
    passed: dict[str, str | None] = {FILE_VARIABLE: str(file or "")}
    for name in settings.model_fields_set & fields.keys():
        value = getattr(settings, name)
        if is_secret(name, fields[name]):
            continue
        if value is not None and is_location(fields[name]):
            value = _absolute(str(value), Path.cwd())
        passed[f"{PREFIX}{name.upper()}"] = None if value is None else _text(value)
    kept = {name: value for name, value in environ.items() if name.upper() not in passed}
    return kept | {name: value for name, value in passed.items() if value is not None}


def is_secret(name: str, field: FieldInfo) -> bool:
    """Return whether a setting's value must not be shown."""
    types = {field.annotation, *get_args(field.annotation)}
    return bool(types & {SecretStr, SecretBytes} or _SECRET.search(name))


def is_location(field: FieldInfo) -> bool:
    """Return whether a setting is a path, or a directory or a URL."""
    return Path in {field.annotation, *get_args(field.annotation)} or LOCATION in field.metadata


def _absolute(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or "://" in value:
        return value
    return str((folder / Path(value).expanduser()).absolute())


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return by variable of ours the name of its setting."""
    return {
        variable: variable[len(PREFIX) :].lower()
        for variable in environ
        if variable.upper().startswith(PREFIX) and variable.upper() != FILE_VARIABLE
    }


def _unknown(unknown: Iterable[tuple[str, str, str]], fields: Iterable[str]) -> str:
    parts = []
    for where, name, prefix in unknown:
        like = difflib.get_close_matches(name, fields, 1, LIKENESS)
        right = f"{prefix}{like[0].upper() if prefix else like[0]}" if like else ""
        parts.append(f"{where} (did you mean {right}?)" if right else where)
    return (
        f"no setting has this name: {'; '.join(parts)}. Correct or remove it; docs/reference/settings.md"
        " describes all."
    )


def _trouble(cls: type[BaseModel], error: Any, found: Mapping[str, Origin]) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if name not in cls.model_fields:
        return str(error["msg"])
    origin, value = found[name], _shown(error["input"], is_secret(name, cls.model_fields[name]))
    if origin.source == "environment":
        return f"{origin.place}={value} in the environment: {error['msg']}"
    return f"{name} = {value!r} ({origin}): {error['msg']}"


def _shown(value: Any, secret: bool) -> Any:
    if value is None:
        return None
    if secret:
        return HIDDEN
    if isinstance(value, Path | str):
        return _IN_URL.sub(f"{HIDDEN}@", str(value))
    return value


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | Path) else json.dumps(value)
