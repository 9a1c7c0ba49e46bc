"""The real llama.cpp, in this process, from its prebuilt package `xllamacpp`."""

import numpy as np
import pytest

xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp (xllamacpp) is not installed")


class LlamaCpp:
    """A model of a GGUF file, on the CPU, with keys and values in single precision."""

    def __init__(self, path, *, length=64):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = length
        params.n_parallel = 1
        params.warmup = False
        params.fit_params = False
        params.verbosity = 0
        params.cpuparams.n_threads = 1
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self._server = xllamacpp.Server(params)

    def complete(self, prompt, **options):
        """Return what the server answers to a prompt, a text or ids."""
        asked = {"prompt": prompt, "temperature": 0, "cache_prompt": False, **options}
        found = self._server.handle_completions({**asked, "return_tokens": True, "verbose": True})
        assert "choices" in found, found
        return found

    def answer(self, messages):
        """Return what the server answers to messages, by the template of the file."""
        said = [{"role": one.role, "content": one.content} for one in messages]
        asked = {"messages": said, "max_tokens": 1, "temperature": 0, "verbose": True}
        return self._server.handle_chat_completions(asked)

    def generate(self, prompt, count):
        """Return the ids that follow a prompt, greedily."""
        return self.complete(prompt, n_predict=count)["__verbose"]["tokens"]

    def log_probs(self, prompt, vocab_size):
        """Return the logarithms of the probabilities of the next token, (vocab_size,)."""
        answer = self.complete(prompt, n_predict=1, n_probs=vocab_size)
        (token,) = answer["choices"][0]["logprobs"]["content"]
        found = np.full(vocab_size, np.nan)
        for one in token["top_logprobs"]:
            found[one["id"]] = one["logprob"]
        assert not np.isnan(found).any()
        return found

    def count_tokens(self, text):
        """Return how many ids a text becomes."""
        return self.complete(text, n_predict=1)["usage"]["prompt_tokens"]
