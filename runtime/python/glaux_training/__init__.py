"""Drives a session's JVM and runner without a server: for training the start-up archive, measuring, and tests.

Run as ``python -m glaux_training`` (see __main__).
"""
