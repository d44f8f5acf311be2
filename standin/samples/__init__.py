"""The servers that a stand-in can be built as: a base host, and the text of its files."""
