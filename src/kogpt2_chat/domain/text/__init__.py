"""Text processing for Korean: characters, spelling variants, personal data and CSV files."""
