"""The comparisons of the paper, repeated: who is compared with whom, on what, and each table and figure."""
