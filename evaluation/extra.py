"""The packages that only evaluating needs: the extra `evaluate`."""

from __future__ import annotations

from importlib.util import find_spec

from evaluation.errors import EvaluationError

PACKAGES = ("scipy", "implicit", "matplotlib", "jinja2", "threadpoolctl")


def require() -> None:
    """Raise EvaluationError if one is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise EvaluationError(
            f"evaluating needs {', '.join(missing)}: install them with pip install 'alsobought[evaluate]'"
        )
