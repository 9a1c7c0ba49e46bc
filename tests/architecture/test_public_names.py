import inspect

import mypt


def test_every_public_name_can_be_imported_and_says_what_it_is():
    for name in mypt.__all__:
        value = getattr(mypt, name)
        if name != "__version__":
            assert inspect.getdoc(value), name


def test_dir_names_what_is_public():
    assert sorted(mypt.__all__) == dir(mypt)


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(mypt, "GTP")


def test_public_methods_are_documented():
    for cls in (mypt.GPT, mypt.GPTDataLoader, mypt.CheckpointManager):
        public = [name for name in vars(cls) if not name.startswith("_")]
        assert public
        for name in public:
            assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name}"
