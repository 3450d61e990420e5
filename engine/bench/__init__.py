"""How long switching takes on this machine, beside what the machine can do and what others need."""
