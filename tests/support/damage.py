"""Ways in which a file of a checkpoint is damaged."""


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:60])


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def leave_alone(path):
    """Leave one file of a folder."""
    for file in path.parent.iterdir():
        if file != path:
            file.unlink()
