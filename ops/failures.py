"""How a demo or a part can fail: the command names these before it imports what they run on."""


class Unreachable(Exception):
    """A server that a part needs does not answer, or refuses; the message is one line that names it."""


class ScenarioError(Exception):
    """The file cannot be played; the message is "file:line: reason"."""


class DemoFailed(Exception):
    """The scenario did not end as it should; the message says what is left open."""
