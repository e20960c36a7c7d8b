"""The learn plane: things to try Pilothouse with, and to learn it by."""
