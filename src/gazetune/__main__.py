"""`python -m gazetune`."""

from gazetune.cli import main

main()
