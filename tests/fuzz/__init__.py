"""Coverage-guided fuzzing of everything that is decoded: nothing crashes it, and nothing is half taken."""
