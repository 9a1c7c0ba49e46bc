import json
from functools import partial

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.tokenizer.folder import has_tokenizer, read_tokenizer

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import (  # noqa: E402
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

UNKNOWN = {"unk_token": "<unk>"}
MARKS = ["<unk>", "<s>", "</s>"]
ENDS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]"}
BYTES = partial(pre_tokenizers.ByteLevel, add_prefix_space=False)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = r" ?[^(\s|[.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{0964}\x{06d4}\x{060c}])]+"
BYTE_LEVEL = {
    "gpt2": BYTES(),
    "starcoder": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES()]),
    "bloom": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(BLOOM), "isolated"), BYTES(use_regex=False)]
    ),
    "falcon": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Punctuation("contiguous"),
            BYTES(),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
        ]
    ),
    "llama3": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES(use_regex=False)]
    ),
}


def make_byte_level(name):
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = BYTE_LEVEL[name], decoders.ByteLevel()
    if name == "llama3":
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)]
        )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return made, trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )


def make_llama():
    made = tokenizers.Tokenizer(models.BPE(**UNKNOWN, byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    tokens = [*MARKS, *(f"<0x{byte:02X}>" for byte in range(256))]
    return made, trainers.BpeTrainer(
        vocab_size=600, special_tokens=tokens, show_progress=False, limit_alphabet=80
    )


def make_unigram():
    made = tokenizers.Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return made, trainers.UnigramTrainer(
        vocab_size=400, special_tokens=MARKS, **UNKNOWN, show_progress=False
    )


def make_word_piece():
    made = tokenizers.Tokenizer(models.WordPiece(**UNKNOWN))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(cleanup=False)
    return made, trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=MARKS, show_progress=False
    )


def make_word_level():
    made = tokenizers.Tokenizer(models.WordLevel(**UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made, trainers.WordLevelTrainer(
        vocab_size=300, special_tokens=MARKS, show_progress=False
    )


def make_suffixed():
    made = tokenizers.Tokenizer(models.BPE(**UNKNOWN, end_of_word_suffix="</w>"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.decoder = decoders.BPEDecoder(suffix="</w>")
    return made, trainers.BpeTrainer(
        vocab_size=400, special_tokens=MARKS, end_of_word_suffix="</w>", show_progress=False
    )


MAKERS = {
    **{name: partial(make_byte_level, name) for name in BYTE_LEVEL},
    "llama": make_llama,
    "unigram": make_unigram,
    "word piece": make_word_piece,
    "word level": make_word_level,
    "suffixed": make_suffixed,
}


@pytest.fixture
def saved(transformers, lines, tmp_path):
    """Return a function that saves a fast tokenizer as `transformers` does."""

    def save(name, **options):
        made, trainer = MAKERS[name]()
        made.train_from_iterator(lines, trainer)
        real = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **options)
        real.save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text('{"model_type": "llama"}')
        return tmp_path

    return save


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_ids_and_texts_are_those_of_transformers(name, clean, saved, compare):
    unknown = {} if name in BYTE_LEVEL else UNKNOWN
    compare(saved(name, clean_up_tokenization_spaces=clean, **ENDS, **unknown))


def test_added_tokens_keep_their_flags(saved, compare):
    more = ["<mask>", AddedToken("<extra>", lstrip=True, rstrip=True)]
    held = compare(saved("gpt2", additional_special_tokens=more, **ENDS))
    added = held["plugins"]["mypt-bpe"]["tokenizer"]["added_tokens"]
    assert {"<mask>", "<extra>"} < {token["content"] for token in added}


def test_a_role_that_only_the_config_names_is_a_token_too(saved, compare):
    folder = saved("llama", **UNKNOWN)
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": "[PAD]"}))
    compare(folder)


def test_a_part_that_the_library_does_not_run_is_refused(saved):
    folder = saved("gpt2", **ENDS)
    document = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Shout"}]}
    (folder / "tokenizer.json").write_text(json.dumps(document))
    reason = r"tokenizer\.json#/normalizer/normalizers/0: is of the type 'Shout'.*tokenizer=none"
    with pytest.raises(FormatError, match=reason):
        read_tokenizer(folder, {"model_type": "llama"}, 1000, [])


@pytest.mark.parametrize(
    ("files", "config", "reason"),
    [
        (("vocab.txt",), {"tokenizer_class": "BertTokenizer"}, "BertTokenizer in vocab.txt"),
        (("tekken.json",), {}, "TokenizersBackend in tekken.json"),
        (("vocab.json", "merges.txt"), {}, "TokenizersBackend in vocab.json and merges.txt"),
        (("vocab.json",), {"tokenizer_class": "GPT2Tokenizer"}, "GPT2Tokenizer in vocab.json"),
        (("tokenizer.model",), {"tokenizer_class": "GPT2Tokenizer"}, "in tokenizer.model"),
    ],
)
def test_what_is_not_read_is_refused_with_a_way_out(files, config, reason, fill):
    folder = fill("llama", dict.fromkeys(files, "{}"), config)
    assert has_tokenizer(folder)
    with pytest.raises(FormatError, match=rf"{reason}, which mypt does not read.*tokenizer=none"):
        read_tokenizer(folder, {"model_type": "llama"}, 1000, [])


def test_a_folder_without_any_is_known(fill):
    assert not has_tokenizer(fill("llama", {}, {}))
