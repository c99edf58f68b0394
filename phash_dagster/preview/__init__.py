"""Try before you apply: what rules would do to the past, and which past images are near a hash.

Nothing is written. A preview copies what concerns the rules into a folder of its own and lets the
functions of the pipeline work there, so that it says what they would do.
"""
