"""Text from the host, for a terminal: file names, logs and answers there are others'."""


def harmless(text: str) -> str:
    """Without control characters: a log contains output of other programs."""
    return "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text)
