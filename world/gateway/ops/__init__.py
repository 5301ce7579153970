"""The operators' pages under ``/ops``: who may see them, and what they show. Players never reach anything here."""
