from mypt.chat.guard import Guard, find_private

GUARD = Guard.of(["<|end|>", "<|e|>", "mask"])


def test_what_is_covered_spells_nothing_and_comes_back():
    for text in ("<|end|>", "a <|e|> b", "mask", "", "no sign of it"):
        covered = GUARD.cover(text)
        assert GUARD.collapse(covered) == covered
        assert GUARD.uncover(covered) == text
        assert len(covered) == len(text)


def test_a_text_cannot_complete_what_stands_before_it():
    for text in ("|end|>", "  |e|>", ">", "end", "ask"):
        covered = GUARD.cover(text)
        for before in ("<", "<|", "<|end|", "<|e|", "m"):
            assert GUARD.collapse(before + covered + "|>") == before + covered + "|>"


def test_other_texts_stay_as_they_are():
    assert GUARD.cover("a | b, he said") == "a | b, he said"


def test_everything_in_a_message_is_covered_but_a_known_role():
    fields = {"role": "user", "content": "<", "tool_calls": [{"<|e|>": ("<|e|>", 1, None)}]}
    covered = GUARD.cover_message(fields)
    assert covered["role"] == "user"
    assert "<" not in str(covered)
    assert "mask" not in GUARD.cover_message({"role": "mask"}).values()


def test_characters_that_a_conversation_has_are_no_stand_ins():
    text = "".join(map(chr, range(0xF0000, 0xF0040)))
    guard = Guard.of(["<|end|>"], find_private([{"content": text}]))
    covered = guard.cover(text + "<|end|>")
    assert covered.startswith(text)
    assert guard.uncover(guard.collapse(covered)) == text + "<|end|>"
    assert find_private(["a"]) == frozenset()
