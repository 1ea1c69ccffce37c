"""Carry out a plan: which work a stage has (pure), and the work itself."""
