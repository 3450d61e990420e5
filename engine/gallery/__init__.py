"""All pictures that were ever drawn: found in their folders, shown small, put away."""
