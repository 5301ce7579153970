"""Korean text: characters, spellings, personal data, CSV files."""
