"""A tuned model, made ready to be shared."""

from gazetune.export.write import FORMATS, export_model

__all__ = ["FORMATS", "export_model"]
