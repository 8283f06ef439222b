"""Evidence (证据): files stored by their content."""
