"""What writers of lessons need: to find and run them, begin one, measure it, try it with many seeds, prove it."""
