import pytest

from mypt.cli.main import format_group, mypt_group, run


@pytest.fixture
def cli(capsys):
    """Run a command in this process; gives exit code, stdout and stderr."""

    def call(*arguments, group=mypt_group, name="mypt"):
        code = run(group, name, [str(word) for word in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def cli_format(cli):
    return lambda *arguments: cli(*arguments, group=format_group, name="mypt format")


@pytest.fixture
def refused(cli):
    """Run a command that must fail with one line; gives that line."""

    def call(*arguments, code=1):
        got, out, err = cli(*arguments)
        assert got == code, out + err
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        return err

    return call
