"""Runs a session's cells of Python code beside its JVM.

Control comes as frames on file descriptor 3 (see channel); output goes to
descriptors 1 and 2 as raw bytes. Run as ``python -m glaux_runner``.
"""
