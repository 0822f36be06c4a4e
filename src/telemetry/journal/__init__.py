"""The journal: buffer, spill and crash record of a process's events, in files of its own."""
