"""`mypt chat` with questions from a pipe, and on a terminal."""

import io
import json
import sys

import pytest

from tests.support.talking import TAUGHT, make_talker

GREEDY = ("--temperature", "0", "--max_new_tokens", "24")
(WHO, TINY), (SUM, FOUR), (AGAIN, NO) = TAUGHT


@pytest.fixture
def ask(cli, talker, monkeypatch):
    """Talk with the model; lines are what is piped in."""

    def call(*lines, flags=(), model=talker):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return cli("chat", model, *GREEDY, *flags)

    return call


def test_questions_from_a_pipe_are_answered_below_each_other(ask):
    code, out, err = ask(WHO, "", SUM)
    assert (code, err) == (0, "")
    assert out == f"> {WHO}\n{TINY}\n\n> {SUM}\n{FOUR}\n"


def test_json_has_a_line_per_answer_and_nothing_else(ask):
    code, out, err = ask(WHO, "/settings", "/history", SUM, flags=("--json",))
    assert code == 0
    first, second = map(json.loads, out.splitlines())
    assert (first["question"], first["answer"]) == (WHO, TINY)
    assert first["stopped_by"] == second["stopped_by"] == "<|im_end|>"
    assert (first["reused"], second["answer"]) == (0, FOUR)
    assert second["reused"] == len(first["prompt_ids"]) + len(first["ids"])
    assert "temperature: 0.0" in err
    assert f"1> {WHO}" in err


def test_the_model_may_be_named_by_a_flag(cli, talker, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli("chat", "--model_name", talker) == (0, "", "")


def test_a_conversation_is_changed_by_commands(ask):
    code, out, err = ask(
        WHO, "/regenerate", f"/edit 1 {SUM}", f"/edit last {AGAIN}", "/undo", WHO, SUM, "/edit 2"
    )  # the last one ends with the input
    assert (code, err) == (0, "")
    shown = [line for line in out.splitlines() if line]
    assert shown[:4] == [f"> {WHO}", TINY] * 2
    assert shown[4:8] == [f"> {SUM}", FOUR, f"> {AGAIN}", NO]
    assert shown[8] == "0 messages left"
    code, out, _ = ask(WHO, SUM, "/edit last", AGAIN, "/history", "/clear", "/history")
    assert code == 0
    assert f"> {AGAIN}\n{NO}\n1> {WHO}\n{TINY}\n2> {AGAIN}\n{NO}\na new conversation\n" in out


def test_a_conversation_is_saved_and_gone_on_with(ask, in_tmp):
    code, out, err = ask(WHO, "/save talk.jsonl", SUM, "/save talk.jsonl")
    assert (code, err) == (0, "")
    assert "saved 4 messages to talk.jsonl" in out
    saved = json.loads((in_tmp / "talk.jsonl").read_text())
    assert [one["content"] for one in saved["messages"]] == [WHO, TINY, SUM, FOUR]
    code, out, err = ask("/load talk.jsonl", AGAIN, "/save talk.jsonl", "/save talk.jsonl")
    assert (code, err) == (0, "")
    assert "loaded 4 messages from talk.jsonl" in out
    assert "saved 6 messages" in out
    code, _, err = ask(WHO, "/save talk.jsonl", "/save", "/load nothing.jsonl")
    assert code == 1
    assert err.splitlines()[0].startswith("error: talk.jsonl: exists; ")
    assert len(err.splitlines()) == 3


def test_a_saved_conversation_can_be_trained_on(ask, cli, in_tmp, talker):
    ask(WHO, SUM, "/save talk.jsonl")
    line = (in_tmp / "talk.jsonl").read_text()
    (in_tmp / "talks.jsonl").write_text(line + line.replace("tiny", "small") * 2)
    code, _, err = cli("data", "chats", "talks.jsonl", "--output", "sft", "--from_model", talker)
    assert code == 0, err


def test_the_system_prompt_is_set_shown_and_removed(ask):
    code, out, err = ask("/system", "/system Be rude.", "/settings", "/system off", "/system",
                         flags=("--system", "Be kind."))  # fmt: skip
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:3] == ["system: Be kind.", "system: Be rude.", "system: Be rude."]
    assert lines[-2:] == ["system: off", "system: off"]


def test_settings_change_as_in_mypt_generate(ask):
    code, out, err = ask("/max_new_tokens 3", "/stop tiny", WHO, "/temperature 0.5", "/tempratur 1")
    assert code == 1
    assert f"> {WHO}\nI a\n" in out
    assert 'stop: ["tiny"]' in out
    assert "note: cut after 3 tokens; /max_new_tokens allows more" in err
    assert "did you mean `/temperature`" in err


def test_what_cannot_be_asked_is_an_error_and_the_rest_goes_on(ask):
    code, out, err = ask("schön", WHO, "x" * 200, "/regenerate 3", "/edit x", "/edit 9 x")
    assert code == 1
    assert f"> {WHO}\n{TINY}\n" in out
    assert [line.split(":")[0] for line in err.splitlines()] == ["error"] * 4
    assert "ö" in err


def test_what_is_not_seen_any_more_is_said_once(ask):
    code, _, err = ask(*[WHO] * 8)
    assert code == 0
    assert err.count("note: the conversation does not fit into the context of 160 tokens") == 1


def test_a_question_may_begin_with_a_slash(ask):
    code, out, _ = ask("//etc", "/help", "/quit", WHO)
    assert code == 0
    assert "> /etc" in out
    assert "Write // to begin a question with /." in out
    assert WHO not in out


def test_a_model_without_a_template_is_told_how_to_get_one(refused, bundle):
    line = refused("chat", bundle)
    assert "mypt data chats" in line


def test_another_template_is_used(ask, talker, refused, in_tmp):
    (in_tmp / "mine.jinja").write_text(
        "{% for m in messages %}{{ m.role + ': ' + m.content + '<|im_end|>' }}{% endfor %}"
    )
    code, out, _ = ask(WHO, flags=("--chat_template", "mine.jinja", "--json"))
    assert code == 0
    ids = json.loads(out)["prompt_ids"]
    assert len(ids) == len("user: ") + len(WHO) + 1
    assert "llama3" in refused("chat", talker, "--chat_template", "llama3")


def test_logit_processors_hold_for_answers(ask):
    code, out, _ = ask(WHO, flags=("--banned_words", "tiny"))
    assert code == 0
    assert out.startswith(f"> {WHO}\nI am a ")
    assert "tiny" not in out


def test_weights_are_rounded(ask):
    for flags in (("--int8",), ("--dtype", "bf16")):
        code, out, _ = ask(WHO, flags=flags)
        assert code == 0
        assert out.startswith(f"> {WHO}\n")
    assert ask(flags=("--int8", "--dtype", "bf16"))[0] == 2


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def on_terminal(talker, monkeypatch):
    """Talk on a terminal; gives exit code and what it shows."""
    from mypt.cli.main import mypt_group, run

    def call(*lines, model=talker):
        screen = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))
            patched.setattr(sys, "stdout", screen)
            patched.setattr(sys, "stderr", screen)
            patched.setattr("mypt.cli.generation.lines.HISTORY", model / "none" / "none")
            code = run(mypt_group, "mypt", ["chat", str(model), *GREEDY])
        return code, screen.getvalue()

    return call


def test_a_terminal_is_asked_before_a_file_is_replaced(on_terminal, in_tmp):
    (in_tmp / "mine.txt").write_text("mine")
    code, shown = on_terminal(WHO, "/save mine.txt", "", "/save mine.txt", "y", "/load mine.txt")
    assert code == 0  # of a terminal, which has shown the error
    assert shown.count("mine.txt exists; replace it? [y/N]") == 2
    assert "error: mine.txt: exists" in shown
    assert "loaded 2 messages" in shown


def test_a_terminal_gets_no_control_characters(on_terminal, tmp_path):
    import torch

    model = make_talker(head_bias=True)
    state = dict(model.need_tokenizer().state())
    state["chars"] = ["\x1b" if char == "#" else char for char in state["chars"]]
    from mypt.plugins.manager import load_plugins
    from mypt.tokenizers.added_tokens import build_from_state

    evil = type(model)(model.config, build_from_state(state, load_plugins()))
    with torch.no_grad():
        evil.lm_head.bias.zero_()[state["chars"].index("\x1b")] = 99
    evil.save(tmp_path / "evil")
    code, shown = on_terminal("Hi", "/history", model=tmp_path / "evil")
    assert code == 0
    assert "\\u001b" in shown
    assert "\x1b" not in shown
