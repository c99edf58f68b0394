"""What was seen, matched and done over a period, as HTML and Markdown."""
