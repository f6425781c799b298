"""The tables of published connectomes."""
