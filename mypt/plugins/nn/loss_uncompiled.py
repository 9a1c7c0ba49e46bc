"""Functions excluded from compiled graphs. Import only while compiling: this loads the compiler."""

from __future__ import annotations

import torch

from mypt.plugins.nn import loss_chunked

# Its loop over chunks would be unrolled into a huge graph.
chunked_sum = torch.compiler.disable(loss_chunked.chunked_sum)  # type: ignore[no-untyped-call]
