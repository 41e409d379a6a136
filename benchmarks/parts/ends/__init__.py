"""What the question `ends` is made of: the matrix, a platform that grants what Lambda documents, and a network that keeps silent."""
