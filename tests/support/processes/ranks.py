"""The processes of one run, as torchrun starts them."""

import socket


def ranks(size):
    """Give for each process of a run the variables by which it finds the others."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    shared["WORLD_SIZE"] = size
    named = [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in range(size)]
    return [{name: str(value) for name, value in variables.items()} for variables in named]
