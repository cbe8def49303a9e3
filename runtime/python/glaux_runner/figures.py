"""The matplotlib backend of a session: Agg whose show() hands the open figures to the client.

Chosen by MPLBACKEND=module://glaux_runner.figures.
"""

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from glaux_runner import runner

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def show(*args, **kwargs):
    """Shows the open figures at once, in the middle of a cell."""
    runner.show_figures()
