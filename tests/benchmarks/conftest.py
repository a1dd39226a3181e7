"""The scripts of benchmarks/ draw the tables of the docs; behind all other folders, as their names are common words."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
