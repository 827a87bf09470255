"""The messages: what one agency may say to another, form by form (PROTOCOL.md M-rules)."""
