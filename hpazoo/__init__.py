"""Per-cell protein locations from ensembles that are written down in one YAML file."""

__version__ = "0.1.0"
