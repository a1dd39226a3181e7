"""The app in a browser: a web server, and the process of the app behind each page."""
