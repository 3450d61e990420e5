"""Files, whoever wrote them: opened and bounded, read by their headers, hashed, written whole."""
