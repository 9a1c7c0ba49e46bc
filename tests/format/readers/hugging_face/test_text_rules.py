import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.text_rules import (
    list_begin_ids,
    read_chat_templates,
    read_text_rules,
)
from mypt.format.readers.shared.vocabulary import BPE_PACKAGE

VOCAB = {"a": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "<|eot|>": 4, "<pad>": 5}
BEGINS = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}


def rules(config=None, ends=None, templates=None, vocab_size=6, **document):
    tokenizer = {"model": {"type": "BPE", "vocab": VOCAB}, **document}
    section = {"plugins": {BPE_PACKAGE: {"tokenizer": tokenizer}}}
    companions = {"tokenizer_config": config or {}, "generation_config": ends or {}}
    return read_text_rules(section, companions, vocab_size, templates or {})


def test_roles_are_read_from_both_documents_and_an_instruct_model_has_several_ends():
    config = {"bos_token": "<s>", "eos_token": {"content": "<|eot|>"}, "pad_token": "<pad>"}
    config["unk_token"] = "<unk>"
    found = rules(config, {"bos_token_id": 1, "eos_token_id": [2, 4]})
    assert found["special_tokens"] == {"bos": [1], "eos": [4, 2], "pad": 5, "unk": 3}
    assert not found["add_bos"]
    found = rules({}, {"eos_token_id": 2}, model={"vocab": VOCAB, "unk_token": "<unk>"})
    assert found["special_tokens"] == {"eos": [2], "unk": 3}


def test_a_bos_is_added_where_the_post_processor_does_whatever_the_config_says():
    found = rules({"add_bos_token": False}, post_processor=BEGINS)
    assert (found["special_tokens"], found["add_bos"]) == ({"bos": [1]}, True)
    assert not rules({"add_bos_token": True, "bos_token": "<s>"})["add_bos"]


def test_a_token_that_the_model_has_no_row_for_has_no_role():
    found = rules({"pad_token": "<pad>", "eos_token": "gone"}, {"pad_token_id": -1}, vocab_size=5)
    assert found["special_tokens"] == {}


def test_an_end_that_the_chat_template_writes_ends_a_turn():
    told = {"default": "{{ m.content }}<|eot|>", "tool_use": "x"}
    found = rules({"eos_token": "</s>"}, {"eos_token_id": [2, 4]}, told)
    assert found["special_tokens"] == {"eos": [2, 4], "turn_end": [4]}
    assert found["chat_template"] == told["default"]
    assert found["additional_chat_templates"] == {"tool_use": "x"}


def test_templates_are_read_from_the_config_or_from_files_which_win(tmp_path):
    named = [{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}]
    assert read_chat_templates(tmp_path, {}) == {}
    assert read_chat_templates(tmp_path, {"chat_template": "a"}) == {"default": "a"}
    assert read_chat_templates(tmp_path, {"chat_template": named}) == {"default": "a", "rag": "b"}
    (tmp_path / "chat_template.jinja").write_text("c")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("d")
    found = read_chat_templates(tmp_path, {"chat_template": named})
    assert found == {"default": "c", "tool_use": "d"}
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(FormatError, match=r"chat_template\.jinja: is not UTF-8"):
        read_chat_templates(tmp_path, {})


@pytest.mark.parametrize(
    ("processor", "begin"),
    [
        (None, ()),
        ({"type": "ByteLevel"}, ()),
        ({"type": "BertProcessing", "cls": ["[CLS]", 7], "sep": ["[SEP]", 8]}, (7,)),
        (
            {
                "type": "Sequence",
                "processors": [
                    {"type": "ByteLevel"},
                    {
                        "type": "TemplateProcessing",
                        "single": [
                            {"SpecialToken": {"id": "<s>", "type_id": 0}},
                            {"SpecialToken": {"id": "<b>", "type_id": 0}},
                            {"Sequence": {"id": "A", "type_id": 0}},
                            {"SpecialToken": {"id": "</s>", "type_id": 0}},
                        ],
                        "special_tokens": {
                            "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                            "<b>": {"id": "<b>", "ids": [3, 4], "tokens": ["<b>", "<c>"]},
                            "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
                        },
                    },
                ],
            },
            (1, 3, 4),
        ),
    ],
)
def test_a_text_begins_with_what_the_template_puts_before_it(processor, begin):
    assert list_begin_ids(processor) == begin
