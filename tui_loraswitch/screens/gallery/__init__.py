"""The gallery: all pictures by day, one large, two compared."""
