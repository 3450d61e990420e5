"""What keys mean: the user's wishes turned into commands for the engine, without a screen."""
