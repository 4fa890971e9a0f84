"""The errors of settings that do not give a secure connection."""

from __future__ import annotations


class SecurityError(Exception):
    """A setting of Kafka's security is missing, does not fit the others, or names a file that cannot be used.

    The message names the setting and never shows a secret.
    """


class NotAdmitted(SecurityError):
    """Kafka refuses this process, or is not the one that it should be; the message names what to correct."""


class TokenUnavailable(SecurityError, OSError):
    """No token for OAUTHBEARER can be had now. Clients of Kafka try again, as after a refused connection."""
