"""A logit processor that has a text be some digits."""

from mypt.plugins import ConfigError, Problem

COUNT = {
    "properties": {"count": {"type": "integer", "minimum": 1}},
    "required": ["count"],
    "additionalProperties": False,
}


class Digits:
    """Lets one text be so many digits, one token each."""

    def __init__(self, digits, count):
        self.digits, self.count = digits, count

    def __call__(self, logits, ids):
        allowed = logits.new_full(logits.shape, float("-inf"))
        if len(ids) < self.count:
            allowed[self.digits] = logits[self.digits]
        return allowed

    def is_complete(self, ids):
        return len(ids) == self.count

    def is_done(self, ids):
        return len(ids) == self.count


def build(options, tokenizer):
    """Return what begins a text."""
    texts = {number: tokenizer.decode([number]) for number in range(tokenizer.n_vocab)}
    digits = [number for number, text in texts.items() if text in {*"0123456789"}]
    if not digits:
        what, fix = "asks for digits, which this vocabulary lacks", "leave it out"
        raise ConfigError(Problem("", "processors/acme_digits", what, fix))
    return lambda prompt_ids: Digits(digits, options["count"])
