import pytest


@pytest.mark.parametrize("command", [("train",), ("data", "prepare"), ("format", "migrate")])
def test_commands_that_lock_have_the_flag_and_say_what_it_asks_for(command, cli):
    code, out, _ = cli(*command, "--help")
    assert code == 0
    shown = " ".join(out.split())
    assert "--no_lock Go on where the file system has no locks; nothing else may write" in shown
