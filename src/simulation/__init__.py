"""Simulated traffic: rows like the training data, drifting where wanted, sent when they are due."""
