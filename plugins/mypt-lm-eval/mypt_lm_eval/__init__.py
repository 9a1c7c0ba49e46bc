"""Models of mypt in lm-eval: importing this package registers them there, as `mypt`."""

import lm_eval.models  # noqa: F401 -- first: lm-eval registers its own only where there are none
from lm_eval.api.registry import model_registry

__all__: list[str] = []

model_registry.register("mypt", target="mypt_lm_eval.model:MyptLM")
