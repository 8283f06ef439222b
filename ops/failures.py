"""How a demo can fail, apart from what runs it: the command names these before it imports a stack."""


class ScenarioError(Exception):
    """The file cannot be played; the message is "file:line: reason"."""


class DemoFailed(Exception):
    """The scenario did not end as it should; the message says what is left open."""
