"""What a GPU does with the program: is it right, how fast is it, how far from the limit."""
