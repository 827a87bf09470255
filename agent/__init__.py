"""One agency's side: seals, sends, receives, opens; the only place its private keys live."""
