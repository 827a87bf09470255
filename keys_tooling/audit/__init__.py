"""What an IG officer does on her own machine: mirror the log, verify it, read the entries of her agency."""
