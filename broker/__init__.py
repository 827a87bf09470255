"""The relay: decides by the header, stores ciphertext, records every decision."""
