"""`topics rights`: the commands of Kafka's own tool that grant a role its rights."""

from __future__ import annotations

from typing import Annotated

import typer

from alsobought.options import CommandError, Kafka, settings_of
from streams.rights import ROLES, acl_commands, rights_of


def topics_rights(
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"One of {', '.join(ROLES)}.")],
    principal: Annotated[
        str, typer.Option("--principal", metavar="USER", help="Whom Kafka knows it as, such as User:worker.")
    ],
    kafka: Kafka = None,
) -> None:
    """Print the commands that grant a role the least rights it needs in a Kafka with access control lists.

    They are for the settings of this environment: its types of events and its group. Nothing is granted by
    this command itself, and Kafka is not connected to.
    """
    if role not in ROLES:
        raise CommandError(f"the role must be one of {', '.join(ROLES)}, but is {role!r}: correct it.")
    settings = settings_of(kafka)
    for command in acl_commands(rights_of(role, settings), principal, settings.kafka or "HOST:PORT"):
        typer.echo(command)
