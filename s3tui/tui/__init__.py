"""The terminal app. Nothing outside this package imports Textual, which takes a quarter of a second."""

import os

# Between two drawings Textual waits for one to two frames: up to 33 of the 50 ms that a key has, at its 60 a second.
os.environ.setdefault("TEXTUAL_FPS", "240")
