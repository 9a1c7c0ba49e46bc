"""Conversations for tests, and what a prepared data set holds of them."""

import json

import numpy as np

from mypt.data.dataset import read_episodes
from mypt.data.inspection.preview import find_tokenizer
from mypt.data.prepare.episodes import ChatPreparation, prepare_chats


def chat(*turns, **fields):
    """A conversation of pairs of a role and what it says."""
    return {"messages": [{"role": role, "content": content} for role, content in turns], **fields}


def prepare(folder, plugins, lines, **options):
    """Prepare lines, given as objects or as they are, in a folder; return it."""
    file = folder.with_suffix(".jsonl")
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    file.write_text(text, encoding="utf-8")
    prepare_chats(ChatPreparation(inputs=[str(file)], output=folder, **options), plugins)
    return folder


def episodes_of(folder, plugins):
    """Text and what is learnt of each conversation of a data set, of both splits, sorted."""
    tokenizer, found = find_tokenizer(folder, plugins), []
    for parts in read_episodes(folder).values():
        for part in parts:
            for start, length in part.spans:
                here = slice(start, start + length)
                ids, mask = np.asarray(part.tokens[here]), np.asarray(part.mask[here]) > 0
                found.append((tokenizer.decode(ids), tokenizer.decode(ids[mask])))
    return sorted(found)
