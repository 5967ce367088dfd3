"""Records of a data set that cannot be used: the first stops the reading, or all are left out and counted."""

from gazetune.errors import InputError
from gazetune.progress import say


class Faults:
    """What is wrong with the records of a data set, by kind.

    Without `skip_bad` the first fault raises InputError. With it, `left_out` names every record that was left out, by
    the kind of fault, so that its length is the count.
    """

    def __init__(self, skip_bad: bool = False) -> None:
        self.skip_bad = skip_bad
        self.left_out: dict[str, list[str]] = {}

    def add(self, kind: str, where: str, what: str, cure: str = "Mend or replace the file") -> None:
        """A record that cannot be used: `kind` is counted, `where` names file and id, `what` says what came.

        Raises InputError unless faults are skipped.
        """
        if not self.skip_bad:
            raise InputError(f"{where}: {kind} ({what}). {cure}, or leave such records out with --skip-bad.")
        self.left_out.setdefault(kind, []).append(where)

    @property
    def count(self) -> int:
        """How many records were left out."""
        return sum(map(len, self.left_out.values()))

    def report(self, name: str) -> None:
        """Say on stderr how many records of the data set `name` were left out, by kind, with the first of each."""
        for kind, where in self.left_out.items():
            say(f"warning: --skip-bad left out {len(where)} records of '{name}': {kind}, the first: {where[0]}")
