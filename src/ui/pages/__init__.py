"""The pages: each module adds one to the Blocks in context."""
