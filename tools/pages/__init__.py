"""Reference pages, made from what the code says of itself. A page is a path below docs/reference and its text."""

NOTICE = "<!-- Made by `make gen` from {source}. Change that, not this page. -->\n\n"
