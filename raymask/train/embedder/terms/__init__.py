"""The losses of the embedder's training; a new one is one file and one registration."""
