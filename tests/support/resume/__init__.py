"""Runs that are interrupted at chosen moments, and what they leave."""
