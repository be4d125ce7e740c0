"""What the normalizer does to prose that people wrote: rewrites per 1,000 words, and their precision as read."""
