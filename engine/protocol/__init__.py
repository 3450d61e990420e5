"""What screens and scripts say to the engine and hear from it: plain frozen data, no torch."""
