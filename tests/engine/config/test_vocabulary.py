from mypt.chat.template import ChatTemplate
from mypt.engine.config.vocabulary import describe_lacking
from mypt.tokenizers.char import CharTokenizer
from tests.support.chat_vocabularies import tokenizer_for

FEW = CharTokenizer.train("ab \n")


def template_of(name: str) -> ChatTemplate:
    return ChatTemplate.of(tokenizer_for(name, FEW), name)


def test_the_words_around_a_question_are_told_of_before_anything_is_said():
    (line,) = describe_lacking(template_of("chatml"))
    assert line.startswith("The model cannot be talked with: tokenizer.json#/chat_template: ")
    assert "writes 'u' 's' 'e' 'r' around" in line
    assert not [*describe_lacking(template_of("mypt"))]
