"""The loggers that Athena predefines."""

import logging
import sys


class _Stderr(logging.Handler):
    """Writes to whatever standard error is at the moment."""

    def emit(self, record):
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def logger(name: str) -> logging.Logger:
    """Makes a logger whose lines read ``AthenaForApacheSpark: <time> INFO builtins: <message>``."""
    made = logging.Logger("builtins", logging.INFO)
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("AthenaForApacheSpark: %(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.set_name(name)
    made.addHandler(handler)
    return made
