"""Write docs/chats/chats.jsonl: conversations about mypt, of docs/chats/questions.txt.

In that file a paragraph is one answer, after `=`, below the ways to ask for it. Each way begins a
conversation, alone or before one or two others, so that each is also asked in the middle of one.
"""

import json
import random
from itertools import cycle
from pathlib import Path

Pair = tuple[str, str]  # a question and its answer
FOLDER = Path(__file__).parent / "chats"


def read_questions(text: str) -> list[Pair]:
    """Return each question with its answer, in the order of a text."""
    found = []
    for paragraph in text.strip().split("\n\n"):
        *questions, answer = paragraph.split("\n")
        found += [(question, answer.removeprefix("= ")) for question in questions]
    return found


def make_conversations(pairs: list[Pair]) -> list[list[Pair]]:
    """Return conversations in which each question begins one, and comes later in about one."""
    draw = random.Random(0)  # noqa: S311 - the same order each time
    first, later = (draw.sample(pairs, len(pairs)) for _ in range(2))
    others = cycle(later)
    return [[pair, *(next(others) for _ in range(n % 3))] for n, pair in enumerate(first)]


def render(conversations: list[list[Pair]]) -> str:
    """Return conversations as JSON lines."""
    lines = []
    for pairs in conversations:
        roles = ("user", "assistant")
        said = [one for pair in pairs for one in zip(roles, pair, strict=True)]
        messages = [{"role": role, "content": content} for role, content in said]
        lines.append(json.dumps({"messages": messages}) + "\n")
    return "".join(lines)


if __name__ == "__main__":
    pairs = read_questions((FOLDER / "questions.txt").read_text(encoding="utf-8"))
    text = render(make_conversations(pairs))
    (FOLDER / "chats.jsonl").write_text(text, encoding="utf-8", newline="\n")
