import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "--lr", "1"), "'--lr' (did you mean `--learning_rate`?); see: mypt train"),
        (("train", "--out_dir=x"), "(did you mean `--model_name`?): a model is a folder in"),
        (("train", "--init_from=resume"), "(did you mean `--init_from_model`?): a run resumes by"),
        (("train", "--resume"), "'--resume': a run resumes by itself: the same `--model_name`"),
        (("train", "--decay_lr=True"), "(did you mean `--lr_schedule`?): one of constant, cosine"),
        (("train", "--lr_decay_iters=9"), "(did you mean `--max_iters`?): the rate falls from"),
        (("train", "--min_learning_rate=1"), "(did you mean `--min_lr`?): null is a tenth of"),
        (("train", "--warmdown_ratio=1"), "(did you mean `--lr_schedule_options`?): as JSON; wsd"),
        (("train", "--lr_scheduler_type=x"), "(did you mean `--lr_schedule`?): one of constant"),
        (("train", "--model", "x"), "(did you mean `--model_name`?)"),
        (("train", "--epochs", "3"), "(did you mean `--max_iters`?): a run counts updates"),
        (("train", "--model_nam", "x"), "(did you mean `--model_name`?); see"),
        (("train", "--train.max_steps=5"), "(did you mean `--max_iters`?)"),
        (("train", "--temperature", "1"), "`--temperature` is an option of `mypt generate`"),
        (("generate", "--temp", "1"), "(did you mean `--temperature`?)"),
        (("generate", "--compile=False"), "only training compiles"),
        (("generate", "-k", "5"), "(did you mean `--top_k`?)"),
        (("generate", "--num_return_sequences", "1"), "(did you mean `--samples`?)"),
        (("generate", "--max_tokens", "5"), "(did you mean `--max_new_tokens`?)"),
        (("generate", "--lr", "1"), "`--learning_rate` is an option of `mypt train`"),
        (("data", "prepare", "x", "--num_proc", "4"), "(did you mean `--workers`?)"),
        (("export", "--output_dir", "x"), "(did you mean `--output`?)"),
        (("--model_name", "x", "generate"), "`--model_name` is written after the command"),
        (("sample",), "'sample' (did you mean `mypt generate`?); see: mypt --help"),
        (("resume",), "(did you mean `mypt train`?): a run resumes by itself"),
        (("finetune",), "(did you mean `mypt train`?): --init_from_model names the model"),
        (("check",), "(did you mean `mypt format validate`?)"),
        (("validate",), "(did you mean `mypt format validate`?)"),
        (("prepare",), "(did you mean `mypt data prepare`?)"),
        (("trian",), "(did you mean `mypt train`?)"),
        (("data", "prepar"), "(did you mean `mypt data prepare`?); see: mypt data --help"),
        (("data", "info"), "(did you mean `mypt data inspect`?)"),
        (("format", "valid"), "(did you mean `mypt format validate`?)"),
    ],
)
def test_a_name_of_another_program_is_answered_with_ours(refused, arguments, said):
    assert said in refused(*arguments, code=2)


@pytest.mark.parametrize(
    "arguments", [("train", "--foo"), ("inspect", "--verbose"), ("frobnicate",), ("train", "--xyz")]
)
def test_what_means_nothing_gets_no_suggestion(refused, arguments):
    line = refused(*arguments, code=2)
    assert "did you mean" not in line
    assert f"'{arguments[-1]}'; see: mypt" in line


def test_the_format_alone_names_its_own_commands(cli):
    from mypt.cli.main import format_group

    code, _, err = cli("check", group=format_group, name="mypt format")
    assert code == 2
    assert "(did you mean `mypt format validate`?)" in err


def test_a_missing_option_with_choices_is_one_line(refused):
    line = refused("export", "dante", code=2)
    assert line.startswith("error: Missing option '--to'. Choose from: ")
    assert "hf" in line.partition("Choose from: ")[2]
    assert line.endswith("; see: mypt export --help\n")
