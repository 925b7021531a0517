"""Errors with a meaning of their own."""


class BackendUnavailable(RuntimeError):
    """A device or engine cannot run here: the message gives the reason and the remedy."""


class AccuracyError(ArithmeticError):
    """The accuracy asked for cannot be kept: the message gives the estimate and what would keep it."""
