"""The seed of this process's hash tables, which nobody can guess (`state.memory.mixing`)."""

from __future__ import annotations

import secrets

TABLE_SEED = secrets.randbits(64)
