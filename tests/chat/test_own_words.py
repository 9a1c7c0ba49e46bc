import pytest

from mypt.chat.message import Message
from mypt.chat.own_words import lacks_words
from mypt.chat.template import ChatTemplate
from mypt.format.errors import ConfigError, DataError
from mypt.tokenizers.char import CharTokenizer
from tests.support.chat_vocabularies import tokenizer_for

FEW = CharTokenizer.train("ab \n")
ASKED = (Message(role="user", content="ab"), Message(role="assistant", content="b"))


def template_of(name: str) -> ChatTemplate:
    return ChatTemplate.of(tokenizer_for(name, FEW), name)


def test_what_a_template_itself_writes_and_a_vocabulary_lacks_is_named():
    with pytest.raises(ConfigError, match="chat_template: writes 'U' 's' 'e' 'r' ':' ") as raised:
        template_of("plain").encode(ASKED)
    assert lacks_words(raised.value)
    assert "a" not in str(raised.value).partition(" around ")[0].replace("chat_template", "")


def test_a_message_with_what_the_vocabulary_lacks_is_another_error():
    with pytest.raises(DataError, match="lacks the character 'x'"):
        template_of("mypt").encode((Message(role="user", content="x"), ASKED[1]))
