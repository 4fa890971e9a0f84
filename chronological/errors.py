"""The errors of training. The messages say what to do.

ChronologicalError
├── TooShort          there is too little to learn from
├── BadTrainingFile   an interrupted training cannot be continued
└── BadModel          a model's file is damaged, or of another layout
"""

from __future__ import annotations


class ChronologicalError(Exception):
    """The base of all errors of this package."""


class TooShort(ChronologicalError):
    """There is too little to learn from: train when there are more weeks of events of returning customers."""


class BadTrainingFile(ChronologicalError):
    """The interrupted training cannot be continued: delete the file, and train from the beginning."""


class BadModel(ChronologicalError):
    """The model's file cannot be used: train and publish the model again."""
