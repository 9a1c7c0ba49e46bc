"""Reader of litgpt's folders."""
