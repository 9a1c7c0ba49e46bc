import shutil

import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint

BATCH = torch.arange(40).reshape(4, 10) * 7 % 61


def logits_of(p, held, idx):
    """The forward pass of the from-scratch transformer over its state dict."""

    def linear(x, name):
        return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-5)

    t, width = idx.size(1), held["n_embd"]
    mask = torch.ones(t, t).triu(1).bool()
    x = p["token_embedding_table.weight"][idx] + p["position_embedding_table.weight"][:t]
    for layer in range(held["n_layer"]):
        at, heads = f"blocks.{layer}", []
        y = norm(x, f"{at}.ln1")
        for head in range(held["n_head"]):
            q, k, v = (linear(y, f"{at}.sa.heads.{head}.{n}") for n in ("query", "key", "value"))
            scores = (q @ k.mT * width**-0.5).masked_fill(mask, float("-inf"))
            heads.append(scores.softmax(-1) @ v)
        x = x + linear(torch.cat(heads, -1), f"{at}.sa.proj")
        hidden = F.relu(linear(norm(x, f"{at}.ln2"), f"{at}.ffwd.net.0"))
        x = x + linear(hidden, f"{at}.ffwd.net.2")
    return linear(norm(x, f"blocks.{held['n_layer']}"), "lm_head")


def loss_of(logits):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), BATCH[:, 1:].flatten())


def test_training_goes_on_as_in_that_program(copy_of, plugins):
    case = copy_of("build_llm_char")
    saved = torch.load(case.path, weights_only=True)
    held = saved["hyperparameters"]
    p = {n: t for n, t in saved["model_state_dict"].items() if not n.endswith("tril")}
    p = {n: t.clone().requires_grad_() for n, t in p.items()}
    theirs = torch.optim.AdamW(p.values())
    theirs.load_state_dict(saved["optimizer_state_dict"])
    opened = open_checkpoint(case.path, plugins, case.options)
    training = opened.training_state.training_config
    assert training.learning_rate == held["learning_rate"]
    model, ours, _ = resume(opened, training, plugins, torch.device("cpu"))
    for _ in range(2):
        theirs.zero_grad()
        loss_of(logits_of(p, held, BATCH)).backward()
        theirs.step()
        ours.zero_grad()
        model.eval().loss(BATCH[:, :-1], BATCH[:, 1:]).backward()
        ours.step()
    wanted = loss_of(logits_of(p, held, BATCH)).item()
    assert model.loss(BATCH[:, :-1], BATCH[:, 1:]).item() == pytest.approx(wanted, abs=1e-5)


def changed(case, change):
    contents = torch.load(case.path, weights_only=True)
    change(contents)
    torch.save(contents, case.path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("build_llm_char", r"characters of its 61 ids; .*advice_letters.*--option training_text="),
        ("build_llm_lora", r"does not contain LoRA's alpha.*--option lora_alpha=32"),
    ],
)
def test_what_the_file_does_not_say_is_asked_for_by_name(copy_of, plugins, name, message):
    with pytest.raises(FormatError, match=message):
        mypt.get_model_info(copy_of(name).path, plugins=plugins)


def test_another_alpha_is_another_model(copy_of, plugins):
    case = copy_of("build_llm_lora")
    ids = torch.tensor([case.expected["prompt_ids"]])
    with torch.no_grad():
        right, wrong = (
            mypt.load(case.path, plugins=plugins, options={**case.options, "lora_alpha": a})(ids)
            for a in (32.0, 8)
        )
    assert (right - wrong).abs().max() > 0.1


def test_an_alpha_in_the_file_is_taken_and_not_contradicted(copy_of, plugins):
    case = copy_of("build_llm_lora")
    changed(case, lambda c: c["hyperparameters"].update(lora_rank=4, lora_alpha=32.0))
    text = {"training_text": case.options["training_text"]}
    opened = open_checkpoint(case.path, plugins, text)
    assert opened.optimizer() is None
    assert any("optimizer state is left out" in note for note in opened.notes)
    assert any("merged" in note for note in opened.notes)
    with pytest.raises(FormatError, match=r"is 32\.0 in this file"):
        open_checkpoint(case.path, plugins, {**text, "lora_alpha": 16})


def test_a_layer_without_its_adapter_is_refused(copy_of, plugins):
    case = copy_of("build_llm_lora")

    def change(contents):
        for part in ("lora_A", "lora_B"):
            del contents["model_state_dict"][f"blocks.1.sa.proj.{part}"]

    changed(case, change)
    with pytest.raises(FormatError, match=r"blocks\.1\.sa\.proj\.lora_A: is missing"):
        mypt.get_model_info(case.path, plugins=plugins, options=case.options)


def test_the_old_layout_of_hyperparameters_is_read(copy_of, plugins):
    case = copy_of("build_llm_char")

    def change(contents):
        held = contents["hyperparameters"]
        new = ("start_step", "custom_vocab_size", "gpt2_model_name", "use_lr_warmup")
        contents["hyperparameters"] = {
            **{name: value for name, value in held.items() if name not in new},
            "lr_schedule": "none",
            "vocab_size": 61,
        }

    before = mypt.get_model_info(case.path, plugins=plugins, options=case.options)
    changed(case, change)
    after = mypt.get_model_info(case.path, plugins=plugins, options=case.options)
    assert after["config"] == before["config"]
    assert after["training_state"] == before["training_state"]


def test_a_text_of_other_characters_is_refused(copy_of, plugins, tmp_path):
    (tmp_path / "other.txt").write_text("abc")
    path = copy_of("build_llm_char").path
    options = {"training_text": str(tmp_path / "other.txt")}
    with pytest.raises(FormatError, match="has 3 different characters, but the model has 61 rows"):
        mypt.load(path, plugins=plugins, options=options)
    with pytest.raises(FormatError, match="cannot be read"):
        mypt.load(path, plugins=plugins, options={"training_text": str(tmp_path / "none.txt")})


def test_a_folder_with_one_snapshot_is_opened_and_one_with_two_is_not(copy_of, plugins):
    case = copy_of("build_llm_char")
    with pytest.raises(FormatError, match="is not a checkpoint"):
        mypt.get_model_info(case.folder, plugins=plugins)
    shutil.move(case.path, case.folder / "kept.pt")
    options = case.options
    assert mypt.get_model_info(case.folder, plugins=plugins, options=options)["parameters"]


def test_a_missing_tokenizer_json_is_asked_for_by_name(copy_of, plugins):
    case = copy_of("build_llm_custom_bpe")
    moved = case.folder / "moved.json"
    (case.folder / "tokenizer.json").rename(moved)
    with pytest.raises(FormatError, match="--option tokenizer_json="):
        mypt.get_model_info(case.path, plugins=plugins)
    options = {"tokenizer_json": str(moved)}
    info = mypt.get_model_info(case.path, plugins=plugins, options=options)
    assert info["tokenizer"]["token_kind"] == "bpe"


def test_heads_that_do_not_divide_the_width_are_read(tmp_path, plugins):
    """C // H wide heads, and a projection back from all of them together."""
    sizes = {"n_embd": 10, "n_head": 3, "n_layer": 1}
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "token_embedding_table.weight": (61, 10),
        "position_embedding_table.weight": (12, 10),
        **{
            f"blocks.0.sa.heads.{head}.{role}.weight": (3, 10)
            for head in range(3)
            for role in ("key", "query", "value")
        },
        "blocks.0.sa.proj.weight": (10, 9),
        "blocks.0.sa.proj.bias": (10,),
        "blocks.0.ffwd.net.0.weight": (40, 10),
        "blocks.0.ffwd.net.0.bias": (40,),
        "blocks.0.ffwd.net.2.weight": (10, 40),
        "blocks.0.ffwd.net.2.bias": (10,),
        **{f"blocks.0.{n}.{k}": (10,) for n in ("ln1", "ln2") for k in ("weight", "bias")},
        "blocks.1.weight": (10,),
        "blocks.1.bias": (10,),
        "lm_head.weight": (61, 10),
        "lm_head.bias": (61,),
    }
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    held = {"model_type": "from_scratch", "tokenization_method": "character", **sizes}
    contents = {"model_state_dict": weights, "hyperparameters": held}
    torch.save({**contents, "vocab_size": 61, "block_size": 12}, tmp_path / "x.pt")
    model = mypt.load(tmp_path / "x.pt", plugins=plugins, options={"tokenizer": "none"})
    with torch.no_grad():
        difference = model(BATCH) - logits_of(weights, held, BATCH)
    assert difference.abs().max() < 1e-5


def test_more_heads_than_tensors_are_refused(copy_of, plugins):
    case = copy_of("build_llm_char")
    changed(case, lambda c: c["hyperparameters"].update(n_head=2**30, n_embd=2**30))
    with pytest.raises(FormatError, match="n_head"):
        mypt.get_model_info(case.path, plugins=plugins, options=case.options)


def test_a_gpt2_name_that_tells_no_heads_is_refused(copy_of, plugins):
    case = copy_of("build_llm_gpt2")
    changed(case, lambda c: c["hyperparameters"].update(gpt2_model_name="gpt3"))
    with pytest.raises(FormatError, match=r"gpt2_model_name.*attention heads"):
        mypt.get_model_info(case.path, plugins=plugins)


def test_adapters_of_the_gpt2_wrapper_are_merged_and_untie_the_head(copy_of, plugins):
    case = copy_of("build_llm_gpt2")
    merged = torch.load(case.path, weights_only=True)["model_state_dict"]
    generator = torch.Generator().manual_seed(2)
    adapted = dict(merged)
    matrices = [n for n in merged if ".c_" in n and n.endswith(".weight")]
    for name in (*matrices, "model.lm_head.weight"):
        layer, matrix = name.removesuffix(".weight"), adapted.pop(name)
        is_head = "lm_head" in name
        rows, columns = matrix.shape[::-1] if is_head else matrix.shape  # (in, out)
        a = torch.randn(rows, 2, generator=generator) / 9
        b = torch.randn(2, columns, generator=generator) / 9
        adapted |= {f"{layer}.lora_A": a, f"{layer}.lora_B": b}
        adapted[f"{layer}.base_layer.weight"] = matrix
        if f"{layer}.bias" in adapted:
            adapted[f"{layer}.base_layer.bias"] = adapted.pop(f"{layer}.bias")
        merged[name] = matrix + 4 * ((a @ b).T if is_head else a @ b)

    def change(contents):
        contents["model_state_dict"] = adapted
        contents["hyperparameters"]["use_lora"] = True

    changed(case, change)
    model = mypt.load(case.path, plugins=plugins, options={"lora_alpha": 8})
    assert not model.config.tie_weights
    ours = model.state_dict()
    head = ours["lm_head.weight"]
    torch.testing.assert_close(head, merged["model.lm_head.weight"])
    theirs = merged["model.transformer.h.1.mlp.c_fc.weight"].T
    torch.testing.assert_close(ours["blocks.1.fwd.net.0.weight"], theirs)
    table = merged["model.transformer.wte.weight"]
    assert torch.equal(ours["token_embedding_table.weight"], table)


def test_a_plain_bigram_table_gives_its_rows(tmp_path, plugins):
    table = torch.randn(61, 61, generator=torch.Generator().manual_seed(5))
    held = {"model_type": "from_scratch", "tokenization_method": "character", "n_embd": 256}
    contents = {
        "step": 7,
        "model_state_dict": {"token_embedding_table.weight": table},
        "optimizer_state_dict": {"state": {}, "param_groups": []},
        "hyperparameters": held,
        "vocab_size": 61,
        "block_size": 12,
    }
    torch.save(contents, tmp_path / "x.pt")
    options = {"tokenizer": "none"}
    assert mypt.get_model_info(tmp_path / "x.pt", plugins=plugins, options=options)
    model = mypt.load(tmp_path / "x.pt", plugins=plugins, options=options)
    with torch.no_grad():
        torch.testing.assert_close(model(BATCH), table[BATCH], atol=1e-5, rtol=0)
    opened = open_checkpoint(tmp_path / "x.pt", plugins, options)
    assert opened.optimizer() is None
    contents["model_state_dict"]["token_embedding_table.weight"] = table[:, 1:].clone()
    torch.save(contents, tmp_path / "x.pt")
    with pytest.raises(FormatError, match=r"token_embedding_table\.weight: has shape"):
        mypt.get_model_info(tmp_path / "x.pt", plugins=plugins, options=options)


def test_training_goes_on_as_in_the_gpt2_wrapper(copy_of, plugins):
    """Moments of matrices stored as (in, out) are transposed like the matrices."""
    case = copy_of("build_llm_gpt2")
    saved = torch.load(case.path, weights_only=True)
    p = {n: t.clone().requires_grad_() for n, t in saved["model_state_dict"].items()}
    del p["model.lm_head.weight"]
    theirs = torch.optim.AdamW(p.values(), lr=0.02)
    generator = torch.Generator().manual_seed(6)
    for t in p.values():
        t.grad = torch.randn(t.shape, generator=generator)
    theirs.step()
    head = {"model.lm_head.weight": p["model.transformer.wte.weight"]}
    saved["model_state_dict"] = {name: t.detach() for name, t in (p | head).items()}
    saved["optimizer_state_dict"] = theirs.state_dict()
    torch.save(saved, case.path)
    opened = open_checkpoint(case.path, plugins)
    training = opened.training_state.training_config
    model, ours, _ = resume(opened, training, plugins, torch.device("cpu"))
    gradients = {name: torch.randn(t.shape, generator=generator) for name, t in p.items()}
    for name, t in p.items():
        t.grad = gradients[name]
    theirs.step()
    inside = {"ln_1": "ln1", "ln_2": "ln2", "attn.c_attn": "sa.qkv", "attn.c_proj": "sa.proj"}
    inside |= {"mlp.c_fc": "fwd.net.0", "mlp.c_proj": "fwd.net.2"}

    def our_name(name):
        name = name.removeprefix("model.transformer.").replace("h.", "blocks.", 1)
        for old, new in inside.items():
            name = name.replace(old, new)
        return name.replace("wte", "token_embedding_table").replace(
            "wpe", "position_embedding_table"
        )

    parameters = dict(model.named_parameters())
    turned = {our_name(name): name for name in p if ".c_" in name and name.endswith(".weight")}
    for name, gradient in gradients.items():
        turn = our_name(name) in turned
        parameters[our_name(name)].grad = gradient.T.contiguous() if turn else gradient
    ours.step()
    for name, t in p.items():
        mine = parameters[our_name(name)]
        torch.testing.assert_close(mine.T if our_name(name) in turned else mine, t)


def test_a_head_of_its_own_of_the_gpt2_wrapper_is_kept(copy_of, plugins):
    case = copy_of("build_llm_gpt2")
    held = torch.load(case.path, weights_only=True)
    ids = torch.arange(6)[None]
    before = mypt.load(case.path, plugins=plugins)(ids)
    head = held["model_state_dict"]["model.lm_head.weight"].flip(0)
    held["model_state_dict"]["model.lm_head.weight"] = head
    torch.save(held, case.path)
    model = mypt.load(case.path, plugins=plugins)
    assert not model.config.tie_weights
    torch.testing.assert_close(model(ids), before.flip(-1), atol=1e-5, rtol=0)
    assert any("opened untied" in note for note in open_checkpoint(case.path, plugins).notes)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
@pytest.mark.parametrize("name", ["build_llm_char", "build_llm_gpt2", "build_llm_lora"])
def test_names_of_a_wrapped_model_are_read_without_their_prefix(copy_of, plugins, name, prefix):
    case = copy_of(name)
    ids = torch.arange(6)[None]
    before = mypt.load(case.path, plugins=plugins, options=case.options)(ids)
    held = torch.load(case.path, weights_only=True)
    named = {prefix + name: tensor for name, tensor in held["model_state_dict"].items()}
    torch.save({**held, "model_state_dict": named}, case.path)
    assert torch.equal(mypt.load(case.path, plugins=plugins, options=case.options)(ids), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "gelu"}, "/hyperparameters/activation: is not known to mypt"),
        ({"model_type": "mamba"}, "hyperparameters/model_type: is 'mamba', a kind of model"),
    ],
)
def test_what_a_fork_adds_is_refused_by_name(copy_of, plugins, change, message):
    case = copy_of("build_llm_char")
    held = torch.load(case.path, weights_only=True)
    held["hyperparameters"] |= change
    torch.save(held, case.path)
    with pytest.raises(FormatError, match=message):
        mypt.load(case.path, plugins=plugins, options=case.options)
