"""Sharded saves: what a run of several processes goes on from, each having written its part."""
