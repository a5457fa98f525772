"""What decides, free of input and output: source definitions, record frames and evidence."""
