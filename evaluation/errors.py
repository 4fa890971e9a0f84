"""What can go wrong in an evaluation."""


class EvaluationError(Exception):
    """The message says what is wrong and what to do."""
