"""The errors of an evaluation."""


class EvaluationError(Exception):
    """The evaluation cannot be done; the message says what is wrong and what to do."""
