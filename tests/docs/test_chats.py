"""The conversations that `make chat` tunes a model on: as their script writes them, and true."""

import importlib.util
import json
import re

import click
import pytest

from mypt.cli.main import mypt_group
from mypt.cli.options.flag_names import list_flags

NAMED = re.compile(r"mypt ((?:format |data |plugins )?[a-z]+)\b")
FLAG = re.compile(r"--[a-z_]+")
OF_PLUGINS = {"serve"}


@pytest.fixture(scope="module")
def writer(root):
    spec = importlib.util.spec_from_file_location("write_chats", root / "docs" / "write_chats.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def questions(writer):
    return (writer.FOLDER / "questions.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pairs(writer, questions):
    return writer.read_questions(questions)


def list_commands(group, context):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            inner = list_commands(command, context)
            yield from ((f"{name} {below}", found) for below, found in inner)


@pytest.fixture(scope="module")
def commands():
    return dict(list_commands(mypt_group, click.Context(mypt_group)))


def test_the_file_is_what_the_script_writes(writer, pairs):
    text = writer.render(writer.make_conversations(pairs))
    assert (writer.FOLDER / "chats.jsonl").read_text(encoding="utf-8") == text


def test_each_question_begins_one_conversation_and_comes_in_others(writer, pairs):
    talks = writer.make_conversations(pairs)
    assert sorted(talk[0] for talk in talks) == sorted(pairs)
    later = [pair for talk in talks for pair in talk[1:]]
    assert len(set(later)) > 0.9 * len(pairs)
    assert len(dict(pairs)) == len(pairs) > 250  # no question has two answers


def test_answers_name_commands_and_flags_that_there_are(pairs, commands):
    flags = {"--help"}.union(*(list_flags(command).values() for command in commands.values()))
    for question, answer in pairs:
        for text in (question, answer):
            assert set(FLAG.findall(text)) <= flags, text
        for name in NAMED.findall(answer):
            first = name.split()[0]
            is_prose = first in {"trains", "is", "needs", "says", "checks", "and"}
            assert is_prose or name in commands or first in {*commands, *OF_PLUGINS}, answer


def test_answers_name_commands_of_conversations_that_there_are(pairs):
    from mypt.cli.conversation.session import HELP

    for text in {text for pair in pairs for text in pair}:
        for command in re.findall(r"(?:^| )(/[a-z]+)", text):
            assert command in HELP, text


def test_conversations_are_of_two_sides_and_ascii(writer):
    for line in (writer.FOLDER / "chats.jsonl").read_text(encoding="utf-8").splitlines():
        messages = json.loads(line)["messages"]
        assert [one["role"] for one in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert line.isascii()


def test_the_questions_of_make_chat_are_taught(root, pairs):
    [asked] = re.findall(r"printf '(.*)' \| \$\(BIN\)/mypt chat", (root / "Makefile").read_text())
    assert set(asked.removesuffix("\\n").split("\\n")) <= dict(pairs).keys()
