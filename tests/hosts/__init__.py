"""Hosts drawn at random: each must behave the same after the move, or be refused."""
