"""The terminal app. Nothing outside of this folder imports Textual, which costs a quarter of a second."""
