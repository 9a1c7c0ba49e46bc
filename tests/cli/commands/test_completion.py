import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(cli, shell):
    code, out, err = cli("completion", shell)
    assert (code, err) == (0, "")
    assert f"_MYPT_COMPLETE={shell}_complete" in out


def test_the_help_says_where_each_script_goes(cli):
    _, out, _ = cli("completion", "--help")
    for place in ("~/.bashrc", "~/.zshrc", "~/.config/fish/completions/mypt.fish"):
        assert place in out


def test_without_a_shell_the_three_are_named(refused):
    assert "bash, zsh, fish" in refused("completion", code=2)
