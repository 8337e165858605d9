"""One file for each attack: `apply()` removes the defence that its tests rely on."""
