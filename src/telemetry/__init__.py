"""What the services say of themselves: events, journal, flusher, stream, profiler."""
