from mypt.format.documents.convert import from_document
from mypt.format.documents.special_tokens import SpecialTokens
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.vocabulary import describe_for_data, merge_document, pick_text_fields

KNOWN = {
    "token_kind": "bytes",
    "special_tokens": {"bos": [1], "newer": [2]},
    "add_bos": True,
    "chat_template": "x",
    "newer": 1,
}
TOLD = {"token_kind": "bytes", "special_tokens": {"eos": [9]}, "plugins": {"p": {"a": 1}}}


def state(document):
    return from_document(TokenizerState, document)


def test_what_a_document_says_of_texts_counts_and_what_a_tokenizer_says_of_tokens():
    merged = merge_document(TOLD, state(KNOWN))
    assert merged.special_tokens == SpecialTokens(bos=(1,), extra={"newer": [2]})
    assert (merged.begin_ids, merged.chat_template) == ((1,), "x")
    assert (merged.plugins, merged.extra) == ({"p": {"a": 1}}, {"newer": 1})


def test_a_new_tokenizer_says_all_of_itself():
    for known in (None, state({**KNOWN, "token_kind": "other"})):
        assert merge_document(TOLD, known) == state(TOLD)


def test_texts_begin_with_a_bos_only_where_it_is_added():
    assert pick_text_fields(KNOWN).begin_ids == (1,)
    assert pick_text_fields({**KNOWN, "add_bos": False}).begin_ids == ()


def test_a_data_set_keeps_what_its_model_says_of_texts():
    kept = describe_for_data(TOLD, state(KNOWN))
    assert kept["plugins"] == TOLD["plugins"]
    assert kept["special_tokens"]["bos"] == [1]
    assert (kept["add_bos"], kept["chat_template"]) == (True, "x")
    assert describe_for_data(TOLD, None) == TOLD
