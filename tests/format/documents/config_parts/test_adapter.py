from mypt.format.documents.config_parts.adapter import Adapter, make_adapter

GIVEN = {
    "type": "lora",
    "rank": 4,
    "alpha": 6.0,
    "targets": ["q"],
    "base": "base",
    "base_sha256": "0",
}


def test_a_mapping_becomes_an_adapter_and_keeps_what_it_does_not_know():
    made = make_adapter({**GIVEN, "later": 1})
    assert made == Adapter(
        rank=4, alpha=6.0, targets=("q",), base="base", base_sha256="0", extra={"later": 1}
    )
    assert (made.scale, str(made)) == (1.5, "LoRA of rank 4 on base")


def test_what_is_no_whole_adapter_stays_for_the_check_of_the_config():
    part = {name: value for name, value in GIVEN.items() if name != "rank"}
    for value in (None, 3, part):
        assert make_adapter(value) is value
