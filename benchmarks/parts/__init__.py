"""What questions are made of: servers, wires, callers, peers."""
