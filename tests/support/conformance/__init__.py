"""The script that writes the conformance suite, and a second reader of its bundles."""
