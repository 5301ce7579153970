"""What the search index holds: the indices with their fields, and how documents are made."""
