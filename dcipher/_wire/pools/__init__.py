"""Which connections there are, who may use how many of them, and by which route a request goes."""
