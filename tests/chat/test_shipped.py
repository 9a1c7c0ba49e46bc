import pytest

from mypt.chat.message import Message
from mypt.chat.shipped import SHIPPED, find_shipped_name, find_template
from mypt.chat.template import ChatTemplate
from mypt.format.documents.special_tokens import END_OF_EPISODE, marks_of
from mypt.format.errors import ConfigError
from mypt.tokenizers.gpt2 import Gpt2Tokenizer
from tests.support.chat_vocabularies import tokenizer_for

TALK = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Ho"),
)


def test_a_shipped_template_is_known_by_its_text():
    for name, shipped in SHIPPED.items():
        assert find_shipped_name(shipped.source) == name
        assert ChatTemplate.of(tokenizer_for(name), name).name == name
    assert find_shipped_name("{{ messages }}") is None


def test_the_template_of_mypt_writes_what_mypt_wrote():
    text = ChatTemplate.of(tokenizer_for("mypt"), "mypt").encode(TALK).text
    assert text == (
        "<myPT_system>Be brief.</myPT_system><myPT_user>Hi</myPT_user>"
        "<myPT_assistant>Ho</myPT_assistant><myPT_eot>"
    )


def test_a_vocabulary_with_the_marks_of_mypt_has_its_template():
    texts = [mark for role in ("system", "user", "assistant") for mark in marks_of(role)]
    special = {text: 50257 + n for n, text in enumerate([*texts, END_OF_EPISODE])}
    template = ChatTemplate.of(Gpt2Tokenizer(special))
    assert template.name == "mypt"
    assert [*special.values()][5] in template.stops
    assert find_template(None, list(special)[1:]) is None
    assert find_template("{{ messages }}", special) == "{{ messages }}"


def test_a_template_whose_tokens_a_vocabulary_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"is chatml, but the vocabulary lacks <\|im_start\|>"):
        ChatTemplate.of(Gpt2Tokenizer(), "chatml")


def test_a_name_that_is_nearly_one_is_asked_for():
    with pytest.raises(ConfigError, match="did you mean `chatml`"):
        ChatTemplate.of(Gpt2Tokenizer(), "chatlm")


def test_gpt2_has_what_the_plain_template_needs():
    chat = ChatTemplate.of(Gpt2Tokenizer(), "plain").encode(TALK)
    assert chat.text == (
        "System: Be brief.<|endoftext|>\nUser: Hi<|endoftext|>\nAssistant: Ho<|endoftext|>"
    )
    assert chat.ids.count(50256) == 3
