"""An IG officer's reports: counted from opened entries, printed as one accessible page and as PDF."""
