"""The paper's comparisons: models by name, declared experiments, the one engine that runs them, tables and reports."""
