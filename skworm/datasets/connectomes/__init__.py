"""The tables of published connectomes, and the script that writes them."""
