"""The screens of the app, and the questions that it asks."""
