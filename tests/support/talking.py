"""Tiny models that were taught conversations."""

import torch

import mypt
from mypt.chat.message import Message
from mypt.chat.template import ChatTemplate
from mypt.tokenizers.added_tokens import with_added_tokens
from mypt.tokenizers.char import CharTokenizer
from tests.support.chat_vocabularies import tokenizer_for

CHARS = CharTokenizer(tuple(sorted({*map(chr, range(32, 127)), "\n"})))
SHAPE = {"n_embd": 32, "n_head": 2, "n_layer": 1, "pos_encoding": "rope", "block_size": 160}
TAUGHT = [
    ("Who are you?", "I am a tiny model."),
    ("What is 2 + 2?", "It is 4."),
    ("Say it again.", "No."),
]


def talk(pairs):
    """Return the messages of a conversation of questions and answers."""
    roles = ("user", "assistant")
    said = [pair for exchange in pairs for pair in zip(roles, exchange, strict=True)]
    return [Message(role=role, content=content) for role, content in said]


def make_talker(template="chatml", **changed):
    """Return an untaught model with a chat template in its tokenizer."""
    bare = tokenizer_for(template, CHARS)
    source = ChatTemplate.of(bare, template).source
    tokenizer = with_added_tokens(CHARS, {**bare.state(), "chat_template": source})
    config = mypt.GPTConfig(**{**SHAPE, **changed}, vocab_size=tokenizer.vocab_size)
    return mypt.GPT(config, tokenizer).eval()


def teach(model, conversations, updates=70):
    """Teach a model to answer in conversations as in these, and to end its turn."""
    template = ChatTemplate.of(model.need_tokenizer())
    chats = [template.encode(messages) for messages in conversations]
    size = max(len(chat.ids) for chat in chats)
    ids, weights = torch.zeros(len(chats), size).long(), torch.zeros(len(chats), size)
    for row, chat in enumerate(chats):
        ids[row, : len(chat.ids)] = torch.tensor(chat.ids)
        weights[row, : len(chat.ids)] = torch.tensor(chat.weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0)
    for _ in range(updates):
        loss = model.loss(ids[:, :-1], ids[:, 1:], weights[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def make_taught():
    """Return a model that knows `TAUGHT`, in a few orders."""
    orders = [TAUGHT, TAUGHT[::-1], [TAUGHT[1], TAUGHT[0], TAUGHT[2]], *([one] for one in TAUGHT)]
    return teach(make_talker(), [talk(order) for order in orders])
