"""The stand-in of a survey: what is read of the host's files, and the host that is built of it."""
