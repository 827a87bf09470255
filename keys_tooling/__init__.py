"""For people with keys: admins (fenpost-keys) and IG officers (fenpost-audit)."""
