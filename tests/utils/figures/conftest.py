import pytest
from matplotlib.figure import Figure


@pytest.fixture
def drawn(monkeypatch):
    """Figures that have been saved."""
    figures = []
    original = Figure.savefig

    def savefig(self, *arguments, **settings):
        figures.append(self)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures
