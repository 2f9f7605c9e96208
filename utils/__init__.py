"""Shared rooms of the course: import the room you need, as in `from utils import data, plot`."""
