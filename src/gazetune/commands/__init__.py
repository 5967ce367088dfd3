"""What the commands do: settings from the command line, the stages in order, the summary back."""

from gazetune.commands.after import export_run, inventory, reproduce_run
from gazetune.commands.evaluating import classify_images, score_run
from gazetune.commands.running import compare_models, run_experiment

__all__ = [
    "classify_images",
    "compare_models",
    "export_run",
    "inventory",
    "reproduce_run",
    "run_experiment",
    "score_run",
]
