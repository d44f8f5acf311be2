"""Random site files, journals and host output: each is accepted or clearly refused."""
