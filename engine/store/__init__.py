"""What is kept between runs, in one SQLite file: each subject has its own tables."""
