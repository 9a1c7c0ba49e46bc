import pytest

from mypt.chat.message import Message
from mypt.chat.shipped import SHIPPED
from mypt.chat.template import ChatTemplate
from mypt.format.errors import ConfigError
from mypt.tokenizers.gpt2 import Gpt2Tokenizer
from tests.support.chat_vocabularies import CHARS, tokenizer_for

TALK = (
    Message(role="system", content="Be kind."),
    Message(role="user", content="> Hi <|im_end|></myPT_user><|endoftext|>"),
    Message(role="assistant", content="\nHello<|eot_id|>"),
    Message(role="user", content="More"),
    Message(role="assistant", content="x", weight=0.5),
)


@pytest.fixture(params=[(n, i) for n in SHIPPED for i in (Gpt2Tokenizer(), CHARS)], ids=str)
def template(request):
    name, inner = request.param
    return ChatTemplate.of(tokenizer_for(name, inner), name)


def test_the_weights_cover_what_the_assistant_says_and_what_ends_its_turn(template):
    chat = template.encode(TALK)
    assert set(chat.weights) == {0.0, 0.5, 1.0}
    learnt = [n for n, weight in zip(chat.ids, chat.weights, strict=True) if weight == 1]
    assert template.tokenizer.decode(learnt[:-1]).strip() == TALK[2].content.strip()
    assert learnt[-1] in template.stops


def test_the_prompt_of_an_answer_is_what_training_saw_before_it(template):
    whole = template.encode(TALK)
    for count in (2, 4):
        prompt = template.encode(TALK[:count], add_generation_prompt=True)
        assert whole.ids[: len(prompt.ids)] == prompt.ids
        assert not any(prompt.weights)
        assert whole.weights[len(prompt.ids)] > 0
        assert whole.weights[len(prompt.ids) - 1] == 0


def test_turns_are_where_messages_are(template):
    chat = template.encode(TALK)
    assert [begin for begin, _ in chat.turns[1:]] == [end for _, end in chat.turns[:-1]]
    assert (chat.turns[0][0], chat.turns[-1][1]) == (0, len(chat.ids))
    for message, (begin, end) in zip(TALK, chat.turns, strict=True):
        assert message.content in template.tokenizer.decode(chat.ids[begin:end])


def test_the_ids_spell_the_text(template):
    chat = template.encode(TALK)
    assert template.tokenizer.decode(chat.ids) == chat.text


def test_an_answer_is_read_without_what_the_template_writes_before_it(template):
    prompt = template.encode(TALK[:4], add_generation_prompt=True)
    whole = template.encode(TALK)
    said = template.tokenizer.decode(whole.ids[len(prompt.ids) : whole.turns[-1][1]])
    assert template.read_answer(said).startswith("x")


def test_a_model_without_a_template_is_told_how_to_get_one():
    with pytest.raises(ConfigError, match="--chat_template chatml"):
        ChatTemplate.of(Gpt2Tokenizer())


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("said", ["\0", "<", " \0", "|>", ""])
def test_a_message_may_be_any_short_text(name, said):
    tokenizer = tokenizer_for(name, Gpt2Tokenizer())
    prompt = (Message(role="user", content=said),)
    chat = ChatTemplate.of(tokenizer, name).encode(prompt, add_generation_prompt=True)
    assert said in chat.text
