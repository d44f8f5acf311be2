"""Anything as a site file, a journal or a host's answers: a clear refusal, or it is right."""
