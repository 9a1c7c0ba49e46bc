"""The tests of mypt: a test file lies where its module does."""
