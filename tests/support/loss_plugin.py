"""A plugin with losses: the focal loss, and some that violate their contract."""

from mypt.plugins import CrossEntropy, LossFactory, hookimpl


def build_focal(options):
    """Build the focal loss of Lin et al. 2017, `-(1 - p) ** gamma * log(p)`."""
    gamma = options.get("gamma", 2.0)

    def focal(logits, targets):
        log_p = logits.log_softmax(1).gather(1, targets[:, None])[:, 0]
        return -((1 - log_p.exp()).clamp(min=1e-6) ** gamma) * log_p

    return focal


def build_smoothed(_):
    """Build a loss whose gradient mypt computes."""
    return CrossEntropy(label_smoothing=0.3)


def fail(logits, targets):
    """Fail as code does."""
    raise KeyError("gamma")


def give_mean(logits, targets):
    """Return one number for all positions."""
    import torch.nn.functional as F

    return F.cross_entropy(logits, targets)


def give_nan(logits, targets):
    """Return losses that are finite, with a gradient that is not."""
    rest = (logits - logits).sum(1)
    return (rest**2).sqrt() + logits.logsumexp(1)


def give_constant(logits, targets):
    """Return losses without a gradient."""
    return targets.float()


WRONG = {
    "fail": (fail, "KeyError: 'gamma'"),
    "mean": (give_mean, r"it returns shape \(\), not \(\d+,\)"),
    "nan": (give_nan, "its gradient is NaN for logits that are finite"),
    "constant": (give_constant, "no gradient"),
}
GAMMA = {"properties": {"gamma": {"type": "number", "minimum": 0}}, "additionalProperties": False}


@hookimpl
def mypt_losses():
    """Offer them."""
    return [
        LossFactory("focal", build_focal, options=GAMMA),
        LossFactory("smoothed", build_smoothed),
        *(LossFactory(name, lambda _, loss=loss: loss) for name, (loss, _) in WRONG.items()),
    ]
