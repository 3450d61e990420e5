"""Many pictures in one go: plans of them, their order, their folder, the grid that shows them."""
