"""Small random models of the real `transformers`, compared with what mypt opens of them."""

import json

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.tensors import safetensors
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling

IDS = torch.arange(30).reshape(2, 15) * 7 % 61
# Under the names that most classes have.
SIZES = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


class NeighbourModels:
    """Opens what the classes of `transformers` save."""

    def __init__(self, transformers, plugins, folder, sizes=SIZES, old_names=None):
        self.transformers, self.plugins, self.folder = transformers, plugins, folder
        self.sizes = sizes
        self.old_names = old_names or {}  # of release 4, by those that most classes had there

    def save(self, name, fields, dtype=torch.float32):
        """Save a random model of a class, and return it as it computes in float32."""
        cls = getattr(self.transformers, name)
        torch.manual_seed(3)
        model = cls(cls.config_class(**{**self.sizes, **fields})).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        model.tie_weights()
        model.to(dtype).save_pretrained(self.folder)
        return model.float()

    def edit(self, change, without=()):
        """Change the keys of the saved config."""
        path = self.folder / "config.json"
        held = json.loads(path.read_text("utf-8")) | change
        path.write_text(json.dumps({key: held[key] for key in held if key not in without}))

    def edit_tensors(self, change):
        """Write the saved tensors anew, as a function returns them."""
        path = self.folder / "model.safetensors"
        held = {name: t.clone() for name, t in safetensors.load(path, path.name).items()}
        with path.open("wb") as stream:
            safetensors.write(stream, change(held))

    def read_config(self):
        return open_checkpoint(self.folder, self.plugins).config

    def check(self, name, fields, dtype=torch.float32):
        """Compare logits and greedy tokens; return the config that mypt reads."""
        theirs = self.save(name, fields, dtype)
        ours = mypt.load(self.folder, plugins=self.plugins).eval()
        with torch.no_grad():
            torch.testing.assert_close(ours(IDS), theirs(IDS).logits, atol=1e-5, rtol=0)
            wanted = IDS[:1, :9]
            for _ in range(5):
                following = theirs(wanted).logits[:, -1:].argmax(-1)
                wanted = torch.cat([wanted, following], dim=1)
        found = [int(token) for token in generate(ours, IDS[:1, :9], 5, Sampling(temperature=0))]
        assert found == wanted[0, 9:].tolist()
        config = self.read_config()
        self.write_as_release_4()
        assert self.read_config() == config
        return config

    def write_as_release_4(self):
        """Write the rotation under the keys of transformers 4."""
        held = json.loads((self.folder / "config.json").read_text("utf-8"))
        rope = dict(held.get("rope_parameters") or {})
        if "rope_theta" not in rope:
            return
        outside = {k: rope.pop(k) for k in ("rope_theta", "partial_rotary_factor") if k in rope}
        scaling = None if rope["rope_type"] == "default" else rope
        outside = {self.old_names.get(key, key): value for key, value in outside.items()}
        outside |= {"rope_scaling": scaling, "torch_dtype": held["dtype"]}
        self.edit(outside, without=("rope_parameters", "dtype"))

    def check_refused(self, name, change, message):
        """Check that a changed config is refused at each door, with the reason."""
        if not (self.folder / "config.json").exists():
            self.save(name, {})
        self.edit(change)
        with pytest.raises(FormatError, match=message):
            mypt.load(self.folder, plugins=self.plugins)
        with pytest.raises(FormatError, match=message):
            mypt.get_model_info(self.folder, plugins=self.plugins)
