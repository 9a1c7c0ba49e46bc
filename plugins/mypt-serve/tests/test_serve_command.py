"""`mypt serve`: what it refuses in one line, how it begins, and how it ends."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import mypt_serve.plugin
import pytest
from mypt_serve.command import make_access
from mypt_serve.settings import is_loopback

from mypt.cli.main import main
from mypt.testing import check_command, registered


@pytest.fixture
def run(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as end:
            main(["serve", *map(str, words)])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return call


def test_the_command_keeps_its_contract():
    plugins = registered(mypt_serve.plugin)
    assert "--max_waiting" in check_command(plugins.command("serve"))


def test_the_plugin_and_the_help_import_no_server():
    program = (
        "import sys, mypt_serve.plugin as plugin\n"
        "plugin.mypt_commands()[0].load()\n"
        "assert not {'uvicorn', 'starlette', 'torch'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_port_that_is_taken_is_one_line(run, chat_model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, out, err = run(chat_model, "--port", port)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"127.0.0.1:{port}: cannot be listened at: Address already in use; choose" in err


def test_an_address_of_another_machine_is_one_line(run, chat_model):
    code, _, err = run(chat_model, "--host", "192.0.2.1", "--token", "x")
    assert (code, err.count("\n")) == (1, 1)
    assert "192.0.2.1:8000: cannot be listened at" in err


def test_a_model_that_is_not_there_is_one_line(run, tmp_path):
    code, _, err = run(tmp_path / "nobody", "--port", 0)
    assert (code, err.count("\n")) == (1, 1) or (code, err.count("\n")) == (2, 1)
    assert "nobody" in err


def test_each_problem_of_a_broken_model_is_one_line(run, tmp_path):
    (tmp_path / "config.json").write_text("{")
    code, _, err = run(tmp_path, "--port", 0)
    assert code == 1
    assert "config.json" in err
    assert all(line.startswith("error: ") for line in err.splitlines())


def test_a_template_that_does_not_fit_is_one_line(run, plain_model):
    code, _, err = run(plain_model, "--port", 0, "--chat_template", "chatml")
    assert (code, err.count("\n")) == (1, 1)
    assert "the vocabulary lacks <|im_start|>" in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "my-host"])
def test_an_address_that_others_reach_needs_a_token(run, chat_model, host):
    assert not is_loopback(host)
    code, _, err = run(chat_model, "--host", host)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--host {host} is reached by others: give a token with --token" in err
    assert make_access(host, "secret", ()).token == "secret"


@pytest.mark.parametrize("token", ["two words", "with\ttab", "ümlaut"])
def test_a_token_that_no_header_can_have_is_refused(run, chat_model, token):
    code, _, err = run(chat_model, "--token", token)
    assert (code, "--token has characters that no header can have" in err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_by_a_signal_without_an_error(chat_model, number):
    words = [sys.executable, "-m", "mypt", "serve", str(chat_model), "--port", "0"]
    environment = {**os.environ, "MYPT_SERVE_TOKEN": "secret"}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with process:
        line = process.stdout.readline()
        assert line.startswith("Serving chatty at http://127.0.0.1:")
        url = line.split()[3]
        headers = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert httpx.get(f"{url}/v1/models", headers=headers).json()["data"][0]["id"] == "chatty"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
