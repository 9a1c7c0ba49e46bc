import pytest


def test_the_prompt_is_continued(cli, bundle):
    code, out, _ = cli(
        "generate", "--model_name", bundle, "--prompt", "line 1", "--max_new_tokens", "20"
    )
    assert code == 0
    assert out.startswith("line 1")
    assert len(out.rstrip("\n")) >= len("line 1")


def test_the_same_seed_gives_the_same_text(cli, bundle):
    texts = {
        cli("generate", "--model_name", bundle, "--prompt", "the", "--seed", "7")[1]
        for _ in range(2)
    }
    assert len(texts) == 1


def test_an_empty_prompt_begins_a_new_text(cli, bundle):
    assert cli("generate", "--model_name", bundle, "--max_new_tokens", "5")[0] == 0


def test_a_character_that_the_vocabulary_lacks_is_refused(refused, bundle):
    line = refused("generate", "--model_name", bundle, "--prompt", "the caté")
    assert "é" in line


@pytest.mark.parametrize(
    ("flag", "value"), [("--top_p", "1.5"), ("--temperature", "-1"), ("--top_k", "0")]
)
def test_an_option_out_of_range_is_refused(refused, bundle, flag, value):
    line = refused("generate", "--model_name", bundle, "--prompt", "the", flag, value)
    assert flag.lstrip("-") in line


def test_a_damaged_bundle_is_refused(refused, bundle, tmp_path):
    import shutil

    copy = tmp_path / "cat"
    shutil.copytree(bundle, copy)
    data = bytearray((copy / "model.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.pt").write_bytes(data)
    assert "model.pt" in refused("generate", "--model_name", copy, "--prompt", "the")
