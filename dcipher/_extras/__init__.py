"""Optional dependencies: imported at their first use, and how to install them."""
