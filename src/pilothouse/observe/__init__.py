"""The observe plane: what happened in the systems around us."""
