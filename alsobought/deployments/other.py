"""Which deployment a command means beside that of its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alsobought.options import CommandError, known_kafka
from streams.connections.bootstrap import Bootstrap
from streams.connections.security import NAMES
from streams.settings import Settings
from streams.settings_sources import SettingsError, load, values_of

OWN = ("kafka", "topic_prefix", *NAMES)
"""Settings that are of one deployment: with a file of the other's, none of them is this one's."""


@dataclass(frozen=True)
class Deployment:
    """A Kafka and the prefix of its topics."""

    bootstrap: Bootstrap
    prefix: str

    def __str__(self) -> str:
        return f"{self.bootstrap} {self.prefix}" if self.prefix else f"{self.bootstrap}"


def this(settings: Settings, bootstrap: Bootstrap) -> Deployment:
    """Return the deployment of the settings."""
    return Deployment(bootstrap, settings.topic_prefix)


def other(
    settings: Settings,
    here: Deployment,
    *,
    kafka: str | None,
    prefix: str | None,
    file: Path | None,
    option: str,
) -> Deployment:
    """Return the deployment that options name.

    Parameters
    ----------
    settings, here
        Of this deployment. Without `kafka` and `file`, the other is in the same Kafka; without `file`, its
        connections are secured as here.
    kafka, prefix, file
        The other's address, prefix (none if it is not given), and settings file, where these are the
        defaults.
    option
        How the options begin, such as "--with".

    Raises
    ------
    CommandError
        It is the same as this one, or none is named.
    SettingsError
        What is said of it cannot be used.
    SecurityError
    """
    if kafka is None and prefix is None and file is None:
        raise CommandError(
            f"say which deployment is the other one: {option}-prefix PREFIX for one in the same Kafka,"
            f" {option}-kafka HOST:PORT for another Kafka, or {option}-settings FILE."
        )
    given: dict[str, Any] = {name: getattr(settings, name) for name in OWN} | {"topic_prefix": ""}
    if file is not None:
        fields = Settings.model_fields
        given |= {name: fields[name].default for name in OWN}
        found = _values(file, f"{option}-settings")
        given |= {name: value for name, value in found.items() if name in OWN}
    given |= {} if kafka is None else {"kafka": kafka}
    given |= {} if prefix is None else {"topic_prefix": prefix}
    there = load(Settings, data_dir=settings.data_dir, **given)
    named = Bootstrap.of(there) if there.kafka else known_kafka(settings)
    found_there = Deployment(named or here.bootstrap, there.topic_prefix)
    if (found_there.bootstrap.servers, found_there.prefix) == (here.bootstrap.servers, here.prefix):
        raise CommandError(
            f"both deployments are the same: {here.bootstrap} with the prefix {here.prefix!r}. Name another"
            f" by {option}-prefix, {option}-kafka or {option}-settings."
        )
    return found_there


def _values(file: Path, option: str) -> dict[str, Any]:
    if not file.is_file():
        raise SettingsError(f"there is no settings file {file}: correct {option}.")
    return values_of(file.absolute(), Settings.model_fields)
