"""The model: applications, units, relations, offers and secrets, and how commands change them."""
