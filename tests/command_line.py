"""Runs commands in this process, as tests of the command line need them."""

import pytest

from pyrec.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """Run a command that must succeed; its stdout and stderr."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out, captured.err


def refuse(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as users expect: status 2, one line on stderr; that line."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("pyrec: error: ")
    assert captured.err.count("pyrec: error") == 1
    assert "Traceback" not in captured.err
    return line.removeprefix("pyrec: error: ")
