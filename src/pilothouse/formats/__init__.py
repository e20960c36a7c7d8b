"""Pure codecs and languages: bytes and text to values and back, without I/O, clock or configuration."""
