"""Hosts by name and by network: which may be in the header Host, and which may be called.

A list of hosts has names (`worker-1`), names of a domain (`.shop.internal`: all below it), addresses and
networks (`10.0.0.0/8`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from streams.doors.errors import HostsUnusable

Address = IPv4Address | IPv6Address
LOOPBACK = ("127.0.0.0/8", "::1/128")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""The networks that nobody else has (RFC 1918, RFC 4193). Not among them are those of one link, where
clouds answer with credentials (169.254.169.254), and 0.0.0.0, which is this machine."""

_NAME = re.compile(r"\.?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
KEPT = 1_024


def address_of(text: str) -> Address | None:
    """Return the address that a text is, an IPv4 one in IPv6 as the former; None if it is a name.

    >>> address_of("::ffff:169.254.169.254"), address_of("127.1"), address_of("worker-1")
    (IPv4Address('169.254.169.254'), None, None)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class Hosts:
    """A list of hosts.

    Raises
    ------
    HostsUnusable
        An entry is no host; `where` names the setting.
    """

    def __init__(self, entries: Iterable[str], where: str = "hosts") -> None:
        self._names: set[str] = set()
        self._domains: tuple[str, ...] = ()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError as error:
                if not _NAME.fullmatch(entry) or "/" in entry:
                    raise HostsUnusable(
                        f"{entry!r} in {where} is no host: write names, .DOMAIN, addresses or networks"
                        " such as 10.0.0.0/8, comma separated."
                    ) from error
                if entry.startswith("."):
                    self._domains += (entry.lower(),)
                else:
                    self._names.add(entry.lower())

    def has_name(self, name: str) -> bool:
        """Return whether a name is in the list."""
        name = name.lower().rstrip(".")
        return name in self._names or name.endswith(self._domains)

    def has_address(self, address: Address) -> bool:
        """Return whether an address is in one of the networks."""
        return any(address in network for network in self._networks)

    def has(self, host: str) -> bool:
        """Return whether a host, a name or an address, is in the list."""
        address = address_of(host)
        return self.has_name(host) if address is None else self.has_address(address)


LOOPBACK_HOSTS = Hosts([*LOOPBACK, "localhost"])


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches what listens on a host; a name counts as others' but
    for localhost.
    """
    return LOOPBACK_HOSTS.has(host)


def in_url(host: str) -> str:
    """Return a host as it is in a URL: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


class OwnNames:
    """The names in the header Host by which a server is asked.

    A page of another site can make its own name one of this server's address (DNS rebinding), and then read
    what the server answers; but it cannot change the name that its browser sends. An address in place of a
    name is no such name.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self.known = lru_cache(KEPT)(self._known)

    def _known(self, header: str) -> bool:
        """Return whether a value of the header Host is the server's."""
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        if match["six"] is not None:
            return address_of(match["six"]) is not None
        return address_of(match["name"]) is not None or self._hosts.has_name(match["name"])
