import pytest

from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.truncation import fit_chat
from mypt.data.prepare.chats.vocabulary import make_renderer
from tests.support.chats import chat


@pytest.fixture(scope="module")
def renderer(plugins):
    tokenizer = plugins.tokenizer("char").train("SystemUserAssistant: \nabcdefghijklmnop0123456789")
    return make_renderer(tokenizer, None, plugins)


LONG = chat(
    ("system", "s"),
    *(turn for n in range(6) for turn in (("user", f"a{n}"), ("assistant", f"b{n}"))),
)


def said(fitted):
    return [turn.text for turn in fitted.chat.turns]


def test_the_system_and_the_last_whole_turns_stay(renderer):
    whole = renderer.render(read_chat(LONG))
    for limit in range(len(whole), 40, -3):
        fitted = fit_chat(read_chat(LONG), renderer, limit)
        texts = said(fitted)
        assert len(fitted.rendered) <= limit
        assert texts[0] == "s"
        n_kept = (len(texts) - 1) // 2
        assert texts[1:] == [t for n in range(6 - n_kept, 6) for t in (f"a{n}", f"b{n}")]
        assert fitted.turns_left_out == 13 - len(texts)
        if n_kept < 6:  # one more would not have fitted
            turns = [(message["role"], message["content"]) for message in LONG["messages"]]
            more = chat(turns[0], *turns[-2 * n_kept - 2 :])
            assert len(renderer.render(read_chat(more))) > limit


def test_a_conversation_that_fits_stays_as_it_is(renderer):
    for limit in (None, 1000):
        fitted = fit_chat(read_chat(LONG), renderer, limit)
        assert (len(said(fitted)), fitted.turns_left_out, fitted.is_cut) == (13, 0, False)


def test_where_the_last_answer_does_not_fit_those_before_it_stay(renderer):
    line = chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d" * 90))
    fitted = fit_chat(read_chat(line), renderer, 40)
    assert (said(fitted), fitted.turns_left_out) == (["a", "b"], 2)


def test_a_last_question_without_an_answer_goes_first(renderer):
    line = chat(("user", "a"), ("assistant", "b"), ("user", "c" * 90))
    assert said(fit_chat(read_chat(line), renderer, 40)) == ["a", "b"]


def test_turns_that_nothing_asks_for_begin_a_conversation(renderer):
    line = chat(("assistant", "a"), ("user", "b"), ("user", "c"), ("assistant", "d" * 20))
    assert said(fit_chat(read_chat(line), renderer, 60)) == ["b", "c", "d" * 20]


def test_an_answer_that_fits_nowhere_leaves_nothing(renderer):
    assert fit_chat(read_chat(chat(("user", "a"), ("assistant", "b" * 90))), renderer, 40) is None
    line = {"prompt": "a" * 10, "completion": "b" * 40}
    assert fit_chat(read_chat(line), renderer, 40) is None


def test_of_a_prompt_and_of_a_text_the_end_stays(renderer):
    decode = renderer.template.tokenizer.decode
    line = {"prompt": "abcdefgh", "completion": "0123"}
    fitted = fit_chat(read_chat(line), renderer, 8)
    assert decode(fitted.rendered.ids) == "fgh0123<|endoftext|>"
    assert fitted.rendered.weights.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert (fitted.is_cut, fitted.rendered.sizes) == (True, (3, 4))
    fitted = fit_chat(read_chat({"text": "abcdefgh"}), renderer, 4)
    assert decode(fitted.rendered.ids) == "fgh<|endoftext|>"
