"""How the demo model and its LoRAs are made: draw scenes, train, export."""
