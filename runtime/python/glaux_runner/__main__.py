"""Entry point: ``python -m glaux_runner``."""

from glaux_runner.runner import main

main()
