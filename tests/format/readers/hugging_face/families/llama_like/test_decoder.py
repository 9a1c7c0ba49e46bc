import mypt


def test_dropout_is_told_of(neighbours):
    neighbours.save("LlamaForCausalLM", {"attention_dropout": 0.25})
    info = mypt.get_model_info(neighbours.folder, plugins=neighbours.plugins)
    assert info["config"]["dropout"] == 0.25
    assert "dropout is `attention_dropout`, for the other parts as well" in info["notes"]
