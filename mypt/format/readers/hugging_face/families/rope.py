"""Rotary positions as `transformers` configures them, in its releases 4 and 5, both ways."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import make_unsupported_error, require_number
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.errors import FormatError

_OBJECTS = ("rope_parameters", "rope_scaling")
_BEFORE = "original_max_position_embeddings"
_PARTIAL = "partial_rotary_factor"
ROPE_KEYS = frozenset({*_OBJECTS, "rope_theta", _PARTIAL, _BEFORE})
# What every rule may have.
_SHARED = frozenset({"rope_theta", "rope_type", "type", _PARTIAL})
# The rules of scaling positions, with their keys and mypt's names of these in `rope_scaling`.
_FACTOR = {"factor": "factor"}
_LENGTH = {_BEFORE: "original_block_size"}
_LLAMA3 = {name: name for name in ("low_freq_factor", "high_freq_factor")}
_YARN = {name: name for name in ("beta_fast", "beta_slow", "attention_factor", "truncate")}
_RULES: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "linear": _FACTOR,
    "dynamic": _FACTOR,
    "llama3": {**_FACTOR, **_LENGTH, **_LLAMA3},
    "yarn": {**_FACTOR, **_LENGTH, **_YARN},
}
# What scales the factor of yarn, if both are there.
_MSCALES = ("mscale", "mscale_all_dim")
# What a rule without use for it may have all the same, as configs of transformers do.
_IGNORED = frozenset({*_FACTOR, *_LENGTH})


def convert_rope(
    hf_config: Mapping[str, Any],
    file: str,
    head_width: int,
    *,
    theta: float = 10000.0,
    part: float | None = None,
) -> dict[str, Any]:
    """Return mypt's fields for the rotation: its base, its scaling, and how many values it turns.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.
        head_width: Width of one head.
        theta: The base if the config has none.
        part: The part of each head that is rotated if the config does not say; None for a class
            that rotates whole heads only.

    Raises:
        FormatError: It is contradictory, or mypt does not have the rule.
    """
    where, rope = choose_rope(hf_config, file)
    rotation = convert_rotation(hf_config, rope, file, where, theta=theta)
    held = _agree(hf_config, rope, _PARTIAL, file, where)
    if part is None:
        if held not in (None, 1):
            what, fix = f"is {held}, but this class rotates whole heads", "install a plugin"
            raise make_unsupported_error(file, f"{where}/{_PARTIAL}", what, fix)
        return rotation
    held = require_number({_PARTIAL: part if held is None else held}, _PARTIAL, file, where)
    size = int(head_width * held)
    if size == 0:  # no layer rotates
        return {"rope_theta": rotation["rope_theta"], "rope_size": 2, "rope_pattern": "N"}
    return {**rotation, "rope_size": None if size == head_width else size}


def rotate_evenly(fields: Mapping[str, Any], file: str, where: str) -> dict[str, Any]:
    """Return the fields of a rotation for a class that rotates an even number of values.

    Such a class rotates one value more than an odd number, by the frequencies of the odd number:
    those of the even one with another base.

    Args:
        fields: What `convert_rope` returns.
        file: Name of the file, for messages.
        where: JSON pointer of the key that says which part of each head is rotated.

    Raises:
        FormatError: The number is odd, and another rule scales the frequencies.
    """
    size = fields["rope_size"]
    if size is None or size % 2 == 0:
        return {**fields}
    if "rope_scaling" in fields:
        what = f"makes {size} values of each head rotate, an odd number, beside another scaling"
        raise make_unsupported_error(file, where, what, "install a plugin that reads it")
    base = fields["rope_theta"] ** ((size + 1) / size)
    return {**fields, "rope_theta": base, "rope_size": size + 1}


def choose_rope(hf_config: Mapping[str, Any], file: str) -> tuple[str, Mapping[str, Any]]:
    """Return the fields of the rotation, and the pointer to them; mypt's exports have both.

    Raises:
        FormatError: They are no object, or contradict each other.
    """
    held = {name: hf_config[name] for name in _OBJECTS if hf_config.get(name)}
    for name, rope in held.items():
        if not isinstance(rope, dict):
            raise make_unsupported_error(file, f"/{name}", "is not an object", "restore the file")
    if len(held) == 2 and _strip(held["rope_scaling"]) != _strip(held["rope_parameters"]):
        raise _make_conflict_error(file, "/rope_scaling", "rope_parameters")
    name = next((n for n in _OBJECTS if n in held), "rope_scaling")
    return f"/{name}", held.get(name, {})


def convert_rotation(
    hf_config: Mapping[str, Any],
    rope: Mapping[str, Any],
    file: str,
    where: str,
    *,
    theta: float,
) -> dict[str, Any]:
    """Return mypt's fields for the base of the rotation and its scaling.

    Args:
        hf_config: The complete config.
        rope: The fields of the rotation.
        file: Name of the file, for messages.
        where: JSON pointer of `rope`.
        theta: The base if neither has one.

    Raises:
        FormatError: mypt does not have the rule, or it lacks a field.
    """
    held = _agree(hf_config, rope, "rope_theta", file, where)
    found = {"rope_theta": theta if held is None else held}
    base = require_number(found, "rope_theta", file, where if "rope_theta" in rope else "")
    kind = _find_kind(rope, file, where)
    own = _RULES[kind]
    scales = _MSCALES if kind == "yarn" else ()
    keys = KnownKeys(_SHARED | own.keys() | {*scales}, _IGNORED - own.keys())
    check_keys(rope, keys, file, where)
    if kind == "default":
        return {"rope_theta": base}
    values = _fill_rule(hf_config, rope, kind, file, where)
    for key in own.keys() - _YARN.keys():
        require_number(values, key, file, where)
    if kind == "linear":
        return {"rope_theta": base, "rope_scale": values["factor"]}
    scaling = {ours: values[key] for key, ours in own.items() if values.get(key) is not None}
    before = {"original_block_size": hf_config["max_position_embeddings"]}  # of `dynamic`
    return {"rope_theta": base, "rope_scaling": {"kind": kind, **before, **scaling}}


def describe_rope(config: GPTConfig, *, is_partial: bool = False) -> dict[str, Any]:
    """Return the rotation of a model, as transformers 4 and 5 read it.

    Args:
        config: The architecture; the rope fields of another position encoding are nobody's.
        is_partial: Whether the class can rotate a part of each head.
    """
    scaling = describe_rotation(config)
    part = {_PARTIAL: _describe_part(config)} if is_partial else {}
    return {
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "rope_parameters": {
            **(scaling or {"rope_type": "default"}),
            "rope_theta": config.rope_theta,
            **part,
        },
        **part,
    }


def describe_rotation(config: GPTConfig) -> dict[str, Any] | None:
    """Return the rule of a model that scales positions, without the base; None if there is none."""
    scaling = config.rope_scaling
    if scaling is None:
        factor = config.rope_scale
        return None if factor == 1.0 else {"rope_type": "linear", "factor": factor}
    values = {theirs: getattr(scaling, ours) for theirs, ours in _RULES[scaling.kind].items()}
    held = {name: value for name, value in values.items() if value is not None}
    return {"rope_type": scaling.kind, **held}


def _strip(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both objects say of the rotation."""
    return {key: value for key, value in rope.items() if key not in ("rope_theta", _PARTIAL)}


def _find_kind(rope: Mapping[str, Any], file: str, where: str) -> str:
    """Return the rule of the rotation."""
    kind = rope.get("rope_type", rope.get("type", "default"))
    if rope.get("type", kind) != kind:
        raise _make_conflict_error(file, f"{where}/type", "rope_type")
    if kind not in _RULES:
        what = f"scales positions by the rule `{kind}`; mypt's config has {', '.join(_RULES)}"
        fix = "install a plugin that has it as its pos_encoding"
        raise make_unsupported_error(file, where, what, fix)
    return str(kind)


def _fill_rule(
    hf_config: Mapping[str, Any], rope: Mapping[str, Any], kind: str, file: str, where: str
) -> dict[str, Any]:
    """Return the fields of a rule, with what `transformers` takes for those that are left out."""
    values = dict(rope)
    if _BEFORE in _RULES[kind]:
        longest = hf_config["max_position_embeddings"]
        values[_BEFORE] = _agree(hf_config, rope, _BEFORE, file, where) or longest
    if kind != "yarn":
        return values
    if values.get("factor") is None:
        before = require_number(values, _BEFORE, file, where)
        values["factor"] = hf_config["max_position_embeddings"] / before
    scales = [values.get(name) for name in _MSCALES]
    if values.get("attention_factor") is None and all(scales):
        factor = require_number(values, "factor", file, where)
        first, second = (
            _scale_attention(factor, require_number(values, name, file, where)) for name in _MSCALES
        )
        values["attention_factor"] = first / second
    return values


def _agree(
    hf_config: Mapping[str, Any], rope: Mapping[str, Any], key: str, file: str, where: str
) -> Any:
    """Return a value that release 5 has in the object and release 4 beside it; None for neither."""
    inside, outside = rope.get(key), hf_config.get(key)
    if inside is not None and outside is not None and inside != outside:
        raise _make_conflict_error(file, f"/{key}", f"{where[1:]}/{key}")
    return outside if inside is None else inside


def _make_conflict_error(file: str, where: str, other: str) -> FormatError:
    fix = "remove the one that does not hold"
    return make_unsupported_error(file, where, f"contradicts {other}", fix)


def _scale_attention(factor: float, scale: float) -> float:
    """Return what yarn multiplies with, as `transformers` computes it for one `mscale`."""
    return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _describe_part(config: GPTConfig) -> float:
    """Return the part of each head that is rotated, such that its product is the exact number."""
    size, width = config.rotated_width, config.head_width
    part = size / width
    return part if int(width * part) == size else math.nextafter(part, math.inf)
