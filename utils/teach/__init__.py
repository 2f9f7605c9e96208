"""What instructors make of the notebooks: slides, a class with grading, a site."""
