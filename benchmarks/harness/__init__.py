"""How questions are asked, and their answers computed, kept, drawn and written down."""
