import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mypt.plugins import PartFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from tests.support.installed import install_broken, others


@pytest.fixture
def log(bundle):
    return bundle.parent / "log.jsonl"


def test_a_log_is_drawn_as_text(cli, log):
    code, out, _ = cli("plot", log)
    assert code == 0
    assert "loss (nats per token)" in out
    assert "learning rate" in out
    assert "\x1b" not in out  # a pipe gets no colours


def test_a_model_finds_its_log(cli, bundle, in_tmp):
    assert "train" in cli("plot", bundle)[1]  # its state says where the log is


def test_a_model_finds_its_log_by_its_name(cli, bundle, log, in_tmp):
    folder = in_tmp / "logs" / "train"
    folder.mkdir(parents=True)
    (folder / "kitten_eval.jsonl").write_bytes(log.read_bytes())
    assert "loss" in cli("plot", "kitten")[1]  # which has no checkpoint any more
    out = cli("plot", "kitten", bundle)[1]
    assert "kitten val" in out
    assert "cat val" in out


def test_a_model_is_plotted_without_the_plugin_that_it_needs(cli, in_tmp, text):
    import mypt

    def build(config):
        from torch import nn

        return nn.Identity()

    plugins = mypt.load_plugins()
    norm = hookimpl(lambda: [PartFactory("norm_type", "acme_none", build)])
    plugins.register(SimpleNamespace(mypt_parts=norm), PluginOrigin("acme", "acme", "1.0"))
    tokenizer = plugins.tokenizer("char").train(text)
    size = {"block_size": 8, "n_embd": 8, "n_head": 1, "n_layer": 1, "batch_size": 2}
    config = mypt.GPTConfig(**size, vocab_size=tokenizer.vocab_size, norm_type="acme_none")
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    model.fit(loader, max_iters=2, eval_iters=1, checkpoint_dir="checkpoints/m", quiet=True)
    code, out, err = cli("plot", "m")
    assert code == 0, err
    assert "val" in out


def test_a_log_is_plotted_without_looking_at_any_plugin(cli, log, in_tmp, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    install_broken(in_tmp / "packages", "import_error")
    monkeypatch.syspath_prepend(in_tmp / "packages")
    code, _, err = cli("plot", log)
    assert (code, err) == (0, "")


def test_a_model_without_log_says_where_it_was_looked_for(refused, fixtures, in_tmp):
    line = refused("plot", fixtures / "mypt" / "modern_char", code=2)
    assert "modern_char_eval.jsonl" in line
    assert "name the log itself" in line


def test_what_is_neither_log_nor_model_is_refused(refused, in_tmp):
    assert "no checkpoint `nothing`" in refused("plot", "nothing", code=2)
    (in_tmp / "notes.txt").write_text("hello\n")
    assert "notes.txt: line 1 is not a JSON object" in refused("plot", "notes.txt")


def test_every_log_of_mypt_is_drawn(cli, fixtures):
    logs = sorted((fixtures / "mypt" / "logs").glob("*.jsonl"))
    code, out, _ = cli("plot", *logs)
    assert code == 0
    for path in logs:
        assert path.stem in out


@pytest.mark.parametrize(("name", "begin"), [("a.html", b"<!doctype"), ("a.png", b"\x89PNG")])
def test_the_suffix_of_the_output_decides(cli, log, in_tmp, name, begin):
    code, out, _ = cli("plot", log, log, "--output", Path("new") / name)
    assert (code, out) == (0, f"{Path('new') / name}: written\n")
    assert (in_tmp / "new" / name).read_bytes().startswith(begin)


def test_logs_of_one_name_are_told_apart_by_their_folders(cli, log, in_tmp):
    for folder in ("monday", "tuesday"):
        (in_tmp / folder).mkdir()
        (in_tmp / folder / "cat.jsonl").write_bytes(log.read_bytes())
    out = cli("plot", "monday/cat.jsonl", "tuesday/cat.jsonl")[1]
    assert "monday/cat val" in out
    assert "tuesday/cat val" in out


def test_another_suffix_is_refused(refused, log):
    assert ".html, .png or .svg" in refused("plot", log, "--output", "a.gif", code=2)


def test_x_counts_tokens(cli, log, fixtures, refused):
    assert "tokens" in cli("plot", log, "--x", "tokens")[1]
    early = fixtures / "mypt" / "logs" / "fused_simple.jsonl"
    assert "does not count tokens" in refused("plot", early, "--x", "tokens", code=2)


def test_a_terminal_gets_nothing_that_it_would_obey(cli, in_tmp):
    event = {"iter": 0, "val_loss": 1.0, "eval_\x1b]0;x\x07": 2.0}
    (in_tmp / "a.jsonl").write_text(json.dumps(event) + "\n")
    out = cli("plot", "a.jsonl")[1]
    assert all(char.isprintable() or char == "\n" for char in out)


def without(module, *words):
    """Run `mypt` in a process where a module cannot be imported."""
    program = (
        f"import sys\nsys.modules[{module!r}] = None\nfrom mypt.cli.main import main\n"
        f"main({[str(word) for word in words]!r})"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_without_matplotlib_a_picture_says_what_to_install(log, in_tmp):
    done = without("matplotlib", "plot", log, "--output", "a.png")
    assert done.returncode == 2
    assert 'pip install "mypt-lm[plot]"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (in_tmp / "a.png").exists()


def test_a_page_and_a_terminal_need_neither_torch_nor_matplotlib(log, in_tmp):
    for module in ("torch", "matplotlib"):
        assert without(module, "plot", log, "--output", "a.html").returncode == 0
        assert without(module, "plot", log).returncode == 0
