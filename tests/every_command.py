"""Every command of the command line, found by looking at it, so that none that is new is left out of a test."""

from typer.main import get_command

from s3tui.cli.diagnostics import guarded
from s3tui.cli.main import app

VALUES = {"to": "tensorboard", "output": "out.html", "model": "./none"}


def every_command():
    """The words of each command, and the command."""

    def walk(words, command):
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from walk((*words, name), inner)
        else:
            yield words, command

    return list(walk((), get_command(app)))


def options_of(command):
    """The names of its options."""
    return {option for parameter in command.params for option in parameter.opts}


def needed(command, **values):
    """The least that a command has to be given, by the names of its parameters."""
    words = []
    for parameter in command.params:
        if parameter.required or parameter.name in values:
            value = str(values.get(parameter.name, VALUES.get(parameter.name, "3")))
            words += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return words


def call(*words):
    """Run a command in this process; gives its exit code."""
    return guarded(lambda: app(list(words), prog_name="s3tui"))
