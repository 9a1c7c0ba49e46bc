from mypt.format.documents.special_tokens import find_gpt2_roles, list_places, marks_of


def test_gpt2_has_one_token_that_begins_and_ends_texts():
    assert find_gpt2_roles({}) == {"bos": [50256], "eos": [50256]}


def test_the_special_tokens_of_mypt_have_roles():
    texts = [*marks_of("user"), *marks_of("assistant"), "<myPT_eot>", "<myPT_pad>", "</myPT_think>"]
    special = {text: 50257 + place for place, text in enumerate(texts)}
    assert find_gpt2_roles(special) == {
        "bos": [50256],
        "eos": [50261, 50256],
        "pad": 50262,
        "turn_end": [50258, 50260],
    }


def test_each_id_has_a_place():
    roles = {"bos": [1], "eos": (2, 3), "pad": 4, "unk": None, "a_later_role": {"x": 1}}
    assert dict(list_places(roles)) == {("bos", 0): 1, ("eos", 0): 2, ("eos", 1): 3, ("pad",): 4}
