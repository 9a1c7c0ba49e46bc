"""Register the built-in readers."""

from __future__ import annotations

import pluggy

from mypt.format.readers.contract import ReaderFactory

# The layers forbid importing mypt.plugins from here, so the marker is pluggy's own.
hookimpl = pluggy.HookimplMarker("mypt")


@hookimpl
def mypt_legacy_readers() -> list[ReaderFactory]:
    """Offer the built-in readers; the one for folders comes first, as they may hold old files.

    Their modules are many, and nobody needs them who opens a bundle.
    """
    from mypt.format.readers import mypt_file, mypt_folder, nanogpt
    from mypt.format.readers.build_llm import reader as build_llm
    from mypt.format.readers.containers import lightning, torch_dcp
    from mypt.format.readers.gguf import reader as gguf
    from mypt.format.readers.hugging_face import reader as hugging_face
    from mypt.format.readers.litgpt import reader as litgpt
    from mypt.format.readers.llama2c import reader as llama2c
    from mypt.format.readers.sharded import reader as sharded

    return [
        ReaderFactory(
            mypt_folder.NAME,
            recognises=mypt_folder.recognises,
            read=mypt_folder.read,
            takes_infos=True,
        ),
        ReaderFactory(
            mypt_file.NAME, recognises=mypt_file.recognises, read=mypt_file.read, takes_infos=True
        ),
        sharded.READER,
        gguf.READER,
        build_llm.READER,
        litgpt.READER,
        llama2c.READER,
        nanogpt.READER,
        lightning.READER,
        torch_dcp.READER,
        hugging_face.READER,
    ]
