"""How a command can fail, named apart from what it runs, so that the command line starts fast."""


class Unreachable(Exception):
    """A server that a part needs does not answer, or refuses; the message is one line that names it."""


class ScenarioError(Exception):
    """The file cannot be played; the message is "file:line: reason"."""


class DemoFailed(Exception):
    """The scenario did not end as it should; the message says what is left open."""


class NotForgotten(Exception):
    """Nobody was forgotten, or no key was rewrapped; the message says why."""


class LogRefused(Exception):
    """The log does not show what was asked for; the message says why."""
