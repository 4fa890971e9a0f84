"""What can go wrong. The messages say what to do.

ChronologicalError
├── TooShort          there is too little to learn from
├── BadTrainingFile   an interrupted training cannot be gone on with
└── BadModel          a model's file is damaged, or of another layout
"""

from __future__ import annotations


class ChronologicalError(Exception):
    """Base of all."""


class TooShort(ChronologicalError):
    """Train when there are events of more weeks, of customers who come back."""


class BadTrainingFile(ChronologicalError):
    """Delete the file, and train from the beginning."""


class BadModel(ChronologicalError):
    """Train and publish the model again."""
