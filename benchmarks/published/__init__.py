"""Published statements on published tables, asked of real nodes and held against the known answers."""
