"""The questions that an IG officer asks of her entries, one function each, in catalogue.py."""
